// Shows why a change was refused: optuna-dashboard's page tells only that it failed.
(function () {
  "use strict";

  const SECONDS = 15;

  function show(reason) {
    const box = document.createElement("div");
    box.setAttribute("role", "alert");
    box.className = "hpo-reason";
    box.textContent = reason;
    box.style.cssText =
      "position:fixed;top:16px;left:50%;transform:translateX(-50%);z-index:100000;max-width:720px;padding:14px 20px;" +
      "background:#fff;color:#222;border:2px solid #c62828;border-radius:6px;font:15px/1.45 sans-serif;" +
      "box-shadow:0 4px 18px rgba(0,0,0,.35);cursor:pointer;white-space:pre-line";
    box.title = "Click to close";
    box.addEventListener("click", () => box.remove());
    document.body.appendChild(box);
    setTimeout(() => box.remove(), SECONDS * 1000);
  }

  async function tell(response) {
    try {
      const reason = (await response.json()).reason;
      if (typeof reason === "string") show(reason);
    } catch {
      // An answer without a reason: the page says that something failed.
    }
  }

  const usual = window.fetch;
  window.fetch = async function (resource, options) {
    const response = await usual.apply(this, arguments);
    const method = (options && options.method) || (resource instanceof Request ? resource.method : "GET");
    if (!response.ok && method.toUpperCase() !== "GET") tell(response.clone());
    return response;
  };
})();
