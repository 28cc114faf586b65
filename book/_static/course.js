// Scrollable boxes can be reached with the keyboard, so that nobody needs a mouse to read a wide table.
function makeScrollersFocusable() {
  const boxes = document.querySelectorAll("div.highlight pre, div.cell_output .output, .cell_output pre, .math");
  for (const box of boxes) {
    if (box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1) box.tabIndex = 0;
  }
}

// A rendered control has its label or icon beside it; say so to those who cannot see it there.
function nameControls() {
  for (const handle of document.querySelectorAll(".jupyter-widgets .noUi-handle:not([aria-label])")) {
    const row = handle.closest(".jupyter-widgets");
    const label = row?.querySelector(".widget-label")?.textContent.trim();
    handle.setAttribute("aria-label", label || "Slider");
  }
  for (const button of document.querySelectorAll(".jupyter-button:not([aria-label])")) {
    const icon = button.querySelector("i")?.className.match(/fa-(\w+)/)?.[1];
    if (!button.textContent.trim() && icon) button.setAttribute("aria-label", icon);
  }
}

// On paper every answer is open.
function openAllForPrint() {
  for (const details of document.querySelectorAll("details:not([open])")) details.open = true;
}

// A page with shapes to turn fetches what turns them; the others do without.
const STATIC = new URL(".", document.currentScript.src);
async function startViewers() {
  if (!document.querySelector("figure.shape")) return;
  for (const name of ["vendor/three/three.js", "viewer.js"]) {
    const script = document.createElement("script");
    script.src = new URL(name, STATIC);
    const done = new Promise((loaded, failed) => ([script.onload, script.onerror] = [loaded, failed]));
    document.head.append(script);
    await done;
  }
}

window.addEventListener("load", () => {
  startViewers();
  makeScrollersFocusable();
  nameControls();
  new MutationObserver(nameControls).observe(document.body, { childList: true, subtree: true });
  window.addEventListener("beforeprint", openAllForPrint);
});
