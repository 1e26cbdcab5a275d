// The Airflow UI shows these pages in a frame that may open no window and move no parent.
(function () {
  "use strict";
  var outer = null;
  try {
    if (window.parent !== window) outer = window.parent.document;
  } catch (error) {
    outer = null; // framed by somebody else: stay inside
  }
  function theme() {
    var dark = outer && outer.documentElement.classList.contains("dark");
    document.documentElement.dataset.theme = dark ? "dark" : "light";
  }
  if (!outer) return;
  theme();
  new MutationObserver(theme).observe(outer.documentElement, { attributeFilter: ["class"] });
  // Links that leave these pages are followed by the Airflow page itself.
  document.addEventListener("click", function (event) {
    var link = event.target.closest("a[data-airflow], a[data-outside]");
    if (!link) return;
    event.preventDefault();
    var twin = outer.createElement("a");
    twin.href = link.href;
    if (link.hasAttribute("data-outside")) {
      twin.target = "_blank";
      twin.rel = "noopener";
    }
    outer.body.appendChild(twin);
    twin.click();
    twin.remove();
  });
})();
