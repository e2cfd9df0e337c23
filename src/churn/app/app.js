// Native sliders as inputs of Shiny, one visible section at a time, and buttons that choose a customer.
document.addEventListener("DOMContentLoaded", () => {
  class Range extends Shiny.InputBinding {
    find(scope) { return $(scope).find("input.churn-range"); }
    getValue(el) { return Number(el.value); }
    setValue(el, value) { el.value = value; this.show(el); }
    show(el) { document.getElementById(el.id + "-value").textContent = Number(el.value).toLocaleString("en"); }
    subscribe(el, callback) { el.oninput = () => { this.show(el); callback(true); }; }
    unsubscribe(el) { el.oninput = null; }
    fit(el, value) {  // limits and steps that hold a model's own value: a browser would move it
      el.min = Math.min(el.min, value);
      el.max = Math.max(el.max, value);
      el.dataset.step ||= el.step;
      const finer = [1, 10, 100, 1000].map((times) => el.dataset.step / times);
      const steps = (size) => (value - el.min) / size;
      el.step = finer.find((size) => Math.abs(steps(size) - Math.round(steps(size))) < 1e-9) ?? "any";
    }
    receiveMessage(el, data) {
      const value = data.value ?? Number(el.value);  // before a browser moves it below a new limit
      if ("max" in data) el.max = data.max;
      this.fit(el, value);
      this.setValue(el, value);
      if ("value" in data) el.dispatchEvent(new Event("input"));
    }
    initialize(el) { this.show(el); }
    getRatePolicy() { return { policy: "throttle", delay: 50 }; }
  }
  Shiny.inputBindings.register(new Range(), "churn.range");

  Shiny.addCustomMessageHandler("forget", (message) => {  // a file; dropped again it is a new one
    const file = document.getElementById(message.id);
    const box = file.closest(".shiny-input-container");
    file.value = box.querySelector("input[readonly]").value = "";
    box.querySelector(".progress").style.visibility = "hidden";
  });
  Shiny.addCustomMessageHandler("go", (message) => { location.hash = message.section; });

  const sections = [...document.querySelectorAll("main > section")];
  function showSection(focus) {
    const chosen = document.getElementById(location.hash.slice(1));
    const current = sections.includes(chosen) ? chosen : sections[0];
    for (const section of sections) section.hidden = section !== current;
    for (const link of document.querySelectorAll("header nav a")) {
      if (link.hash === "#" + current.id) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    $(current).trigger("shown");
    window.scrollTo(0, 0);
    if (focus) current.querySelector("h2").focus();
  }
  addEventListener("hashchange", () => showSection(true));
  showSection(false);
  document.querySelectorAll("input[readonly]").forEach((el) => el.setAttribute("aria-label", "Name of the file"));

  new MutationObserver(() => {  // Shiny's messages come outside the landmarks
    const panel = document.getElementById("shiny-notification-panel");
    if (panel && !panel.hasAttribute("role")) {
      panel.setAttribute("role", "region");
      panel.setAttribute("aria-label", "Messages");
      panel.setAttribute("aria-live", "polite");
    }
  }).observe(document.body, { childList: true });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-customer]");
    if (!button) return;
    Shiny.setInputValue("chosen", button.dataset.customer, { priority: "event" });
    location.hash = "customer";
  });
  document.addEventListener("input", (event) => {
    const field = event.target.closest("[data-field]");
    if (field) Shiny.setInputValue("changed", { field: field.dataset.field, value: field.value }, { priority: "event" });
  });
});
