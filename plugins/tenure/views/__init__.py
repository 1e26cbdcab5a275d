"""What people are shown, put together from what is stored; reads only."""
