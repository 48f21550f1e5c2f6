// Asks whether something changed and shows it, without losing what is folded open or being written.
"use strict";
const now = document.getElementById("now");
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// A part is known by the place it stands in: its path of indices would change, its summary does not.
const key = (details) => details.querySelector("summary")?.textContent.split("·")[0].trim();
const folds = () => new Map([...now.querySelectorAll("details")].map((d) => [key(d), d.open]));

const show = (html) => {
  const before = folds();
  now.innerHTML = html;
  for (const details of now.querySelectorAll("details")) {
    if (before.has(key(details))) details.open = before.get(key(details));
  }
};

const watch = async () => {
  for (;;) {
    try {
      const answer = await fetch(`${now.dataset.source}?since=${now.dataset.version}`);
      if (answer.status === 200) {
        show(await answer.text());
        now.dataset.version = answer.headers.get("x-version");
        await sleep(300);
      } else if (!answer.ok) {
        await sleep(3000);
      }
    } catch {
      await sleep(3000);
    }
  }
};
watch();
