"use strict";

const EVERY_MS = 2000;
const REPORT_EVERY_MS = 15000;
const NAMES = {
  running: "Running", requests: "Requests", failed: "Failed", disconnected: "Disconnected", fallbacks: "Fallbacks",
  input_tokens: "Input tokens", output_tokens: "Output tokens", restarts: "Worker restarts",
};

let key = "";
let reportAt = -Infinity;

const find = (id) => document.getElementById(id);

function create(name, text, className) {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
}

function replace(id, children) {
  find(id).replaceChildren(...children);
}

async function read(path) {
  const response = await fetch(path, { cache: "no-store", headers: key ? { authorization: `Bearer ${key}` } : {} });
  if (response.status === 401 || response.status === 403) {
    find("content").hidden = true;
    if (find("login").hidden) {
      find("login").hidden = false;
      find("key").focus();
    }
    throw new Error(key ? "this key may not read the status" : "enter a key to read the status");
  }
  if (!response.ok) throw new Error(`the gateway answered with status ${response.status}`);
  return response.json();
}

function describeTarget(target) {
  const item = create("li", `${target.target} `);
  const waits = target.available_in_s > 0 ? `, in ${target.available_in_s} s` : "";
  const why = target.reason || (target.breaker === "closed" ? "" : `circuit breaker ${target.breaker}`);
  if (!target.available) item.append(create("span", `✗ ${why || "suspended"}${waits}`, "bad"));
  else if (!target.called) item.append(create("span", "not called yet", "muted"));
  else item.append(create("span", "✓ available", "good"));
  return item;
}

function showStatus(status) {
  const store = status.store === null ? "no store" : status.store.working ? "store works" : "store fails";
  const workers = status.workers === 1 ? "1 worker" : `${status.workers} workers`;
  find("state").textContent = `${status.healthy ? "Ready" : "No target is available"} · ${workers} · ${store}`;
  replace("counters", Object.entries(status.counters).map(([name, value]) => {
    const tile = create("div");
    tile.append(create("dt", NAMES[name] ?? name), create("dd", value.toLocaleString("en")));
    return tile;
  }));
  replace("chain-list", status.chains.map((chain) => {
    const card = create("article", undefined, "card");
    const list = create("ol");
    list.append(...chain.targets.map(describeTarget));
    card.append(create("h3", chain.model), list);
    return card;
  }));
  find("login").hidden = true;
  find("content").hidden = false;
}

function showReport(report) {
  const frame = find("report-frame");
  find("report-note").textContent = report.error ?? "";
  find("report-note").hidden = !report.error;
  frame.hidden = !report.page;
  if (report.page && frame.srcdoc !== report.page) frame.srcdoc = report.page;
  const rollouts = report.rollouts ?? [];
  find("rollout-section").hidden = rollouts.length === 0;
  replace("rollout-list", rollouts.map((rollout) => {
    const card = create("article", undefined, "card");
    const scope = rollout.scope === "*" ? "all roles" : rollout.scope;
    card.append(
      create("h3", scope),
      create("p", `${rollout.candidate}: ${Math.round(rollout.share * 1000) / 10} %${rollout.paused ? ", paused" : ""}`),
    );
    if (rollout.guard) card.append(create("p", rollout.guard.message, "muted"));
    return card;
  }));
}

function fitFrame() {
  const page = find("report-frame").contentDocument;
  if (page && page.documentElement) find("report-frame").style.height = `${page.documentElement.scrollHeight + 4}px`;
}

async function update() {
  try {
    showStatus(await read("status.json"));
    if (performance.now() - reportAt >= REPORT_EVERY_MS) {
      reportAt = performance.now();
      showReport(await read("report.json"));
    }
  } catch (error) {
    find("state").textContent = error instanceof TypeError ? "The gateway cannot be reached" : error.message;
  }
}

async function follow() {
  if (!document.hidden) await update();
  setTimeout(follow, EVERY_MS);
}

find("login").addEventListener("submit", (event) => {
  event.preventDefault();
  key = find("key").value.trim();
  reportAt = -Infinity;
  update();
});
find("report-frame").addEventListener("load", fitFrame);
addEventListener("resize", fitFrame);
follow();
