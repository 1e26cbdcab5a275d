// The Airflow UI shows these pages in a frame that may open no window and move no parent.
(function () {
  "use strict";
  // The review queue: claim or answer, then show the queue as it is now.
  document.addEventListener("click", function (event) {
    var button = event.target.closest("button[data-act]");
    if (!button) return;
    var row = button.closest("[data-review]");
    var act = button.dataset.act;
    var note = row.querySelector("input");
    var body = act === "answer" ? { decision: button.dataset.decision === "true", note: note ? note.value : "" } : {};
    row.querySelectorAll("button").forEach(function (one) { one.disabled = true; });
    fetch(row.dataset.review + "/" + act, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    })
      .then(function (answer) {
        return answer.ok ? window.location.reload() : answer.json().then(function (said) { throw said; });
      })
      .catch(function (said) {
        var place = row.querySelector("[role=alert]");
        place.textContent = said.error ? said.error + " " + said.next_step : "Airflow did not answer. Try again.";
        place.hidden = false;
        row.querySelectorAll("button").forEach(function (one) { one.disabled = false; });
      });
  });
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
