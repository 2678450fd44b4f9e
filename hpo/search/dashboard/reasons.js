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

  function reasonIn(text) {
    try {
      const reason = JSON.parse(text).reason;
      return typeof reason === "string" ? reason : "";
    } catch {
      return "";
    }
  }

  const open = XMLHttpRequest.prototype.open;
  XMLHttpRequest.prototype.open = function (method) {
    if (method.toUpperCase() !== "GET") {
      this.addEventListener("load", () => {
        const isText = this.responseType === "" || this.responseType === "text";
        const reason = this.status >= 400 && isText ? reasonIn(this.responseText) : "";
        if (reason) show(reason);
      });
    }
    return open.apply(this, arguments);
  };
})();
