// Colours as the system has them, or as chosen; a file:// page may be refused storage, and then forgets.
"use strict";
(() => {
  const root = document.documentElement, choices = ["auto", "light", "dark"];
  let choice = "auto";
  try { choice = localStorage.getItem("limbeck-colours") || "auto"; } catch { /* no storage */ }
  const apply = (wanted) => {
    choice = choices.includes(wanted) ? wanted : "auto";
    if (choice === "auto") delete root.dataset.theme; else root.dataset.theme = choice;
  };
  apply(choice);
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const show = () => { button.textContent = `Colours: ${choice}`; };
    show();
    button.addEventListener("click", () => {
      apply(choices[(choices.indexOf(choice) + 1) % choices.length]);
      show();
      try { localStorage.setItem("limbeck-colours", choice); } catch { /* no storage */ }
    });
  });
  // On paper every drawer is open; those that were shut are shut again afterwards.
  let shut = [];
  addEventListener("beforeprint", () => {
    shut = [...document.querySelectorAll("details:not([open])")];
    for (const one of shut) one.open = true;
  });
  addEventListener("afterprint", () => { for (const one of shut) one.open = false; });
})();
