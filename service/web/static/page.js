// Every page works without this file. It shows times in the reader's own time zone on hover,
// and offers to copy ready-made blocks.
"use strict";

const words = document.body.dataset;

for (const time of document.querySelectorAll("time[datetime]")) {
  time.title = new Date(time.dateTime).toLocaleString(document.documentElement.lang) + ` (${words.here})`;
}

for (const block of document.querySelectorAll("pre")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = words.copy;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(block.textContent);
    button.textContent = words.copied;
  });
  block.after(button);
}
