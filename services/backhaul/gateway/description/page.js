"use strict";
// Tries a kind: submits the input as it stands, then shows the events of the task as they come.

function headers(more) {
  const key = document.getElementById("key").value.trim();
  return key ? { ...more, Authorization: `Bearer ${key}` } : more;
}

async function call(path, options) {
  const answer = await fetch(path, { ...options, headers: headers(options.headers) });
  if (answer.ok) return answer;
  const problem = await answer.json();
  const faults = (problem.errors || []).map((fault) => `\n${fault.pointer}: ${fault.detail}`);
  throw new Error(`${answer.status} ${problem.code}: ${problem.detail || problem.title}${faults.join("")}`);
}

async function submit(kind, text) {
  let input;
  try {
    input = JSON.parse(text);
  } catch (error) {
    throw new Error(`The input is not JSON: ${error.message}`);
  }
  const answer = await call("v1/tasks", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ kind, input }),
  });
  return answer.json();
}

function line(block) {
  const data = block.split("\n").find((one) => one.startsWith("data: "));
  if (!data) return "";
  const event = JSON.parse(data.slice("data: ".length));
  return `${String(event.seq).padStart(4)}  ${event.type}  ${JSON.stringify(event.data)}\n`;
}

async function follow(task, show) {
  const answer = await call(`v1/tasks/${task.id}/events?after=0`, { headers: { Accept: "text/event-stream" } });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ; ) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    blocks.map(line).forEach(show);
  }
}

for (const link of document.querySelectorAll("a[data-shown]")) {
  link.addEventListener("click", async (event) => {
    if (!headers({}).Authorization) return;
    event.preventDefault();
    const answer = await call(link.getAttribute("href"), {});
    location.assign(URL.createObjectURL(await answer.blob()));
  });
}

for (const form of document.querySelectorAll("form[data-kind]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const log = form.querySelector("pre");
    const show = (text) => log.append(text);
    log.textContent = "";
    try {
      const task = await submit(form.dataset.kind, form.querySelector("textarea").value);
      show(`${task.id} is ${task.status}\n`);
      await follow(task, show);
    } catch (error) {
      show(`${error.message}\n`);
    }
  });
}
