"""Windows of live decisions, judged; and the controller that asks for retraining."""
