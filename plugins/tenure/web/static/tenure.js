// The Airflow UI shows these pages in a frame that may open no window and move no parent.
(function () {
  "use strict";
  // What is wider than its frame is reached by the keyboard as well.
  function reachable() {
    document.querySelectorAll(".scroll").forEach(function (one) {
      if (one.scrollWidth > one.clientWidth) one.tabIndex = 0;
      else one.removeAttribute("tabindex");
    });
  }
  document.addEventListener("DOMContentLoaded", reachable);
  window.addEventListener("resize", reachable);
  // The review queue and an incident: act, then show the page as it is now.
  document.addEventListener("click", function (event) {
    var button = event.target.closest("button[data-act]");
    if (!button) return;
    var row = button.closest("[data-act-on]");
    var act = button.dataset.act;
    var text = button.parentElement.querySelector("input") || row.querySelector("input");
    var named = row.querySelector("select"); // hours, or of several classes one; else yes or no
    var decision = named ? named.value : button.dataset.decision === "true";
    var body = {};
    if (act === "answer") body = { decision: decision, note: text ? text.value : "" };
    if (act === "snooze") body = { hours: Number(named.value) };
    if (act === "close" || act === "accept" || act === "decline") body = { reason: text.value };
    if (button.hasAttribute("data-fields")) {
      button.parentElement.querySelectorAll("input[name]").forEach(function (one) { body[one.name] = one.value; });
    }
    row.querySelectorAll("button").forEach(function (one) { one.disabled = true; });
    fetch(row.dataset.actOn + "/" + act, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    })
      .then(function (answer) {
        return answer.ok ? window.location.reload() : answer.json().then(function (said) { throw said; });
      })
      .catch(function (said) {
        var place = (button.closest(".actions") || row).querySelector("[role=alert]");
        place.textContent = said.error ? said.error + " " + (said.next_step || "") : "Airflow did not answer. Try again.";
        place.hidden = false;
        row.querySelectorAll("button").forEach(function (one) { one.disabled = false; });
      });
  });
  // Feedback on a decision: what the fields say, then the page as it is now, with the form empty.
  document.addEventListener("click", function (event) {
    var button = event.target.closest("[data-give] button");
    if (!button) return;
    var form = button.closest("[data-give]");
    var refusal = form.querySelector("[role=alert]");
    var body = {};
    form.querySelectorAll("input, select").forEach(function (one) { body[one.name] = one.value.trim(); });
    refusal.hidden = true;
    button.disabled = true;
    fetch(form.dataset.give, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    })
      .then(function (answer) {
        if (answer.ok) return window.location.assign(form.dataset.give);
        return answer.json().then(function (said) { throw said; });
      })
      .catch(function (said) {
        refusal.textContent = said.error ? said.error + " " + (said.next_step || "") : "Airflow did not answer. Try again.";
        refusal.hidden = false;
        button.disabled = false;
      });
  });
  // What an incident offers: first the sentence of the dry run, then the button that does it.
  document.addEventListener("click", function (event) {
    var button = event.target.closest("button[data-plan], button[data-do]");
    if (!button) return;
    var deed = button.closest(".deed");
    var planned = deed.querySelector(".planned");
    var refusal = deed.querySelector("[role=alert]");
    var text = deed.querySelector("input");
    var isPlan = button.hasAttribute("data-plan");
    var body = { note: text ? text.value : "" };
    if (!isPlan) body.seen = planned.dataset.seen;
    refusal.hidden = true;
    button.disabled = true;
    var path = isPlan ? "/plan/" + button.dataset.plan : "/do/" + button.dataset.do;
    fetch(button.closest("[data-act-on]").dataset.actOn + path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    })
      .then(function (answer) {
        return answer.json().then(function (said) { if (!answer.ok) throw said; return said; });
      })
      .then(function (said) {
        if (!isPlan) return window.location.reload();
        planned.querySelector("p").textContent = said.sentence;
        planned.querySelector("button").hidden = !said.changes;
        planned.dataset.seen = said.seen;
        planned.hidden = false;
        button.disabled = false;
      })
      .catch(function (said) {
        refusal.textContent = said.error ? said.error + " " + (said.next_step || "") : "Airflow did not answer. Try again.";
        refusal.hidden = false;
        planned.hidden = true;
        button.disabled = false;
      });
  });
  // The steward's workbench: a limit moves, says what it would have done, is judged, is proposed.
  function send(path, body) {
    return fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    }).then(function (answer) {
      return answer.json().then(function (said) { if (!answer.ok) throw said; return said; });
    });
  }
  function each(root, selector, act) {
    Array.prototype.forEach.call(root.querySelectorAll(selector), act);
  }
  function changedLimits(bench) {
    return Array.prototype.filter.call(bench.querySelectorAll("input[data-argument]"), function (one) {
      return one.value !== "" && Number(one.value) !== Number(one.defaultValue);
    });
  }
  function breaks(value, limits) {
    return limits.some(function (one) {
      var limit = Number(one.value);
      var room = 1e-9 * Math.max(1, Math.abs(limit));
      return one.dataset.argument === "min_value" ? value < limit - room : value > limit + room;
    });
  }
  function showLimits(rule) {
    var limits = Array.prototype.slice.call(rule.querySelectorAll("input[data-observed]"));
    var plot = rule.querySelector("svg.limits");
    if (!plot || !limits.length) return;
    var at = plot.dataset;
    limits.forEach(function (one) {
      var share = (Number(one.value) - Number(at.low)) / (Number(at.high) - Number(at.low));
      var y = Number(at.bottom) - Math.min(Math.max(share, 0), 1) * (Number(at.bottom) - Number(at.top));
      each(plot, 'line[data-of="' + one.dataset.argument + '"]', function (line) {
        line.setAttribute("y1", y);
        line.setAttribute("y2", y);
      });
    });
    var broken = [];
    each(plot, "circle[data-value]", function (dot) {
      var isBroken = breaks(Number(dot.dataset.value), limits);
      dot.setAttribute("class", isBroken ? "failed" : "passed");
      if (isBroken) broken.push(dot.dataset.batch);
    });
    var number = plot.querySelectorAll("circle[data-value]").length;
    rule.querySelector(".would").textContent = broken.length + " of " + number + " files break this rule"
      + (broken.length ? ": " + broken.join(", ") : "") + ".";
  }
  function showChanges(bench) {
    var list = bench.querySelector(".changes");
    list.textContent = "";
    var changed = changedLimits(bench);
    changed.forEach(function (one) {
      var item = document.createElement("li");
      item.textContent = one.closest(".rule").dataset.of + ": " + one.defaultValue + " \u2192 " + one.value;
      list.appendChild(item);
    });
    bench.querySelector(".nothing").hidden = changed.length > 0;
    each(bench, "[data-judge], [data-propose]", function (one) { one.disabled = !changed.length; });
    bench.querySelector(".previewed").hidden = true;
  }
  function edit(bench) {
    return {
      seen: bench.dataset.seen,
      changes: changedLimits(bench).map(function (one) {
        return {
          rule: Number(one.closest(".rule").dataset.rule),
          argument: one.dataset.argument,
          value: Number(one.value),
        };
      }),
    };
  }
  function setLimit(input, value) {
    input.value = value;
    input.dispatchEvent(new Event("input", { bubbles: true }));
  }
  document.addEventListener("input", function (event) {
    var rule = event.target.closest(".rule");
    if (!rule) return;
    var slides = event.target.dataset.slides;
    if (slides) return setLimit(rule.querySelector('input[data-argument="' + slides + '"]'), event.target.value);
    var slider = rule.querySelector('input[data-slides="' + event.target.dataset.argument + '"]');
    if (slider) slider.value = event.target.value;
    showLimits(rule);
    showChanges(rule.closest("[data-workbench]"));
  });
  document.addEventListener("toggle", function (event) {
    if (event.target.matches && event.target.matches(".rule[open]")) showLimits(event.target);
  }, true);
  var dragged = null;
  function drag(event) {
    var plot = dragged.closest("svg");
    var box = plot.getBoundingClientRect();
    var y = ((event.clientY - box.top) * plot.viewBox.baseVal.height) / box.height;
    var at = plot.dataset;
    var share = (Number(at.bottom) - y) / (Number(at.bottom) - Number(at.top));
    var slider = plot.closest(".rule").querySelector('input[data-slides="' + dragged.dataset.of + '"]');
    slider.value = Number(at.low) + share * (Number(at.high) - Number(at.low));
    slider.dispatchEvent(new Event("input", { bubbles: true }));
  }
  document.addEventListener("pointerdown", function (event) {
    dragged = event.target.closest("svg.limits line.grip");
    if (dragged) event.preventDefault();
  });
  document.addEventListener("pointermove", function (event) { if (dragged) drag(event); });
  document.addEventListener("pointerup", function () { dragged = null; });
  document.addEventListener("click", function (event) {
    var button = event.target.closest("button[data-judge], button[data-propose]");
    if (!button) return;
    var bench = button.closest("[data-workbench]");
    var place = button.closest(".actions");
    var refusal = place.querySelector("[role=alert]");
    var shown = place.querySelector(".previewed");
    var isJudge = button.hasAttribute("data-judge");
    var path = bench
      ? bench.dataset.workbench + (isJudge ? "/preview" : "/propose")
      : button.closest("[data-act-on]").dataset.actOn + "/preview";
    var body = bench ? edit(bench) : {};
    if (!isJudge) body.reason = place.querySelector("input").value;
    refusal.hidden = true;
    button.disabled = true;
    if (isJudge) {
      shown.textContent = "Judging. This takes some seconds for each file.";
      shown.hidden = false;
    }
    send(path, body)
      .then(function (said) {
        button.disabled = false;
        if (!isJudge) return window.location.reload();
        shown.textContent = "";
        var first = document.createElement("p");
        first.textContent = said.sentence;
        var list = document.createElement("ul");
        said.lines.forEach(function (words) {
          var item = document.createElement("li");
          item.textContent = words;
          list.appendChild(item);
        });
        shown.appendChild(first);
        shown.appendChild(list);
      })
      .catch(function (said) {
        refusal.textContent = said.error ? said.error + " " + (said.next_step || "") : "Airflow did not answer. Try again.";
        refusal.hidden = false;
        shown.hidden = true;
        button.disabled = false;
      });
  });
  // Relative times go on by themselves; a page where something runs is fetched again, unless
  // nobody looks or somebody writes.
  function span(seconds) {
    var units = [[86400, "d"], [3600, "h"], [60, "min"]];
    for (var i = 0; i < units.length; i += 1) {
      if (seconds >= 2 * units[i][0]) return Math.round(seconds / units[i][0]) + " " + units[i][1];
    }
    return Math.round(seconds) + " s";
  }
  var loaded = Date.now();
  function tick() {
    document.querySelectorAll("time[data-age]").forEach(function (one) {
      var age = Number(one.dataset.age) + (Date.now() - loaded) / 1000;
      one.textContent = age >= 0 ? span(age) + " ago" : "in " + span(-age);
    });
  }
  setInterval(tick, 5000);
  var refresh = Number(document.documentElement.dataset.refresh || 0);
  function isWriting() {
    return Array.prototype.some.call(document.querySelectorAll("input, textarea"), function (one) {
      return one === document.activeElement || one.value !== one.defaultValue;
    });
  }
  function isOpened() {
    return document.querySelector("details[open][data-opened], .planned:not([hidden])") !== null;
  }
  document.addEventListener("click", function (event) {
    var summary = event.target.closest("summary");
    if (summary) summary.parentElement.dataset.opened = "";
  });
  if (refresh) {
    setInterval(function () {
      if (!document.hidden && !isWriting() && !isOpened()) window.location.reload();
    }, refresh * 1000);
  }
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
