"use strict";

const HISTORY_S = 120;
const LEAST_HISTORY_S = 15; // initial time span of a chart
const COLLECT_EVERY_MS = 200;
const SHOWN_EVENTS = 50;
const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);

// A token in the URL is stored for this tab and removed from the address bar.
const address = new URL(location.href);
if (address.searchParams.has("token")) {
  sessionStorage.setItem("token", address.searchParams.get("token"));
  address.searchParams.delete("token");
  history.replaceState(null, "", address);
}
const token = () => sessionStorage.getItem("token");

/** Path with the token as a parameter, for <img> and EventSource, which cannot send headers. */
function withToken(path) {
  const separator = path.includes("?") ? "&" : "?";
  return token() ? `${path}${separator}token=${encodeURIComponent(token())}` : path;
}

function ask(path, options = {}) {
  const headers = { ...options.headers, ...(token() ? { Authorization: `Bearer ${token()}` } : {}) };
  return fetch(path, { ...options, headers });
}

function element(name, text, properties = {}) {
  return Object.assign(document.createElement(name), { textContent: text, ...properties });
}

async function detailOf(response) {
  const { detail } = await response.json().catch(() => ({ detail: response.statusText }));
  return detail;
}

/** Chart of up to two minutes, from zero (or just below the smallest value) to just above the largest. */
class Chart {
  constructor(id, { unit, digits, fromZero = true }) {
    this.figure = byId(id);
    Object.assign(this, { unit, digits, fromZero, samples: [] });
    this.value = this.figure.appendChild(element("output", "–"));
    this.svg = this.figure.appendChild(document.createElementNS(SVG, "svg"));
    this.svg.setAttribute("role", "img");
    this.width = 300;
    this.height = 70;
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.svg.setAttribute("preserveAspectRatio", "none");
    for (const y of [0, this.height]) this.add("line", { class: "grid", x1: 0, x2: this.width, y1: y, y2: y });
    this.curves = ["first", "second"].map((name) => this.add("path", { class: `curve ${name}` }));
    this.range = this.figure.appendChild(element("small", ""));
  }

  add(name, attributes) {
    const made = this.svg.appendChild(document.createElementNS(SVG, name));
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  }

  /** Adds one value per curve; null leaves a gap. */
  push(now, values) {
    this.samples.push([now, values]);
    while (this.samples[0][0] < now - HISTORY_S) this.samples.shift();
    this.draw(now, values);
  }

  draw(now, values) {
    const known = values.filter((value) => value != null);
    this.value.replaceChildren(
      known.length ? known.map((value) => value.toFixed(this.digits)).join(" / ") : "–",
      element("small", known.length ? ` ${this.unit}` : ""),
    );
    const all = this.samples.flatMap(([, sample]) => sample.filter((value) => value != null));
    this.figure.hidden = !all.length; // hidden if the device has no such value
    if (!all.length) return;
    const top = Math.max(...all) * (this.fromZero ? 1.1 : 1) + (this.fromZero ? 0 : 1);
    const bottom = this.fromZero ? 0 : Math.min(...all) - 1;
    const span = Math.max(now - this.samples[0][0], LEAST_HISTORY_S);
    this.range.textContent = `${bottom.toFixed(0)}–${top.toFixed(0)} ${this.unit}, ${span.toFixed(0)} s`;
    this.svg.setAttribute("aria-label", `${this.value.textContent}, ${this.range.textContent}`);
    this.curves.forEach((curve, index) => {
      let path = "";
      let pen = "M";
      for (const [time, sample] of this.samples) {
        if (sample[index] == null) {
          pen = "M";
          continue;
        }
        const x = this.width * (1 - (now - time) / span);
        const y = this.height * (1 - (sample[index] - bottom) / (top - bottom || 1));
        path += `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
        pen = "L";
      }
      curve.setAttribute("d", path);
    });
  }
}

function showBars(list, categories) {
  list.replaceChildren(
    ...categories.map(({ label, score }) => {
      const item = element("li", "", { className: "bar" });
      const bar = document.createElement("i");
      bar.style.setProperty("--share", score);
      item.append(element("span", label, { title: label }), bar, element("b", `${(100 * score).toFixed(1)}%`));
      return item;
    }),
  );
}

/** Live picture, decision, charts and events. */
class Live {
  constructor(info) {
    this.info = info;
    this.charts = {
      fps: new Chart("chart-fps", { unit: "fps", digits: 1 }),
      latency: new Chart("chart-latency", { unit: "ms", digits: 1 }),
      temperature: new Chart("chart-temperature", { unit: "°C", digits: 1, fromZero: false }),
    };
    this.picture = byId("picture");
    this.seen = 0; // number of the newest listed event
    this.away = null; // start of the current outage
    byId("live").hidden = false;
    document.addEventListener("visibilitychange", () => this.watch());
    addEventListener("resize", () => this.placeRegion());
    this.picture.addEventListener("load", () => this.placeRegion());
    this.picture.addEventListener("error", () => setTimeout(() => this.watch(), 1000));
    this.watch();
  }

  /** Starts watching, or stops in a hidden tab to save the device's resources. */
  watch() {
    this.events?.close();
    if (document.hidden) {
      this.picture.removeAttribute("src");
      return;
    }
    this.picture.src = withToken(`stream.mjpg?at=${Date.now()}`);
    this.events = new EventSource(withToken("events?recent=30"));
    this.events.addEventListener("status", (event) => this.showStatus(JSON.parse(event.data)));
    this.events.addEventListener("changed", (event) => this.showEvent(JSON.parse(event.data), Number(event.lastEventId)));
    this.events.addEventListener("open", () => {
      if (this.lost) this.watch(); // after an outage, restart the picture stream as well
      this.lost = false;
    });
    this.events.addEventListener("error", () => {
      this.lost = true;
      this.showState("disconnected");
      // The browser does not retry refused requests (server busy, or restarted with another token).
      if (this.events.readyState === EventSource.CLOSED) setTimeout(() => this.watch(), 3000);
    });
  }

  showState(state) {
    const words = { live: "live", away: "no signal", ended: "ended" }[state] ?? state;
    const badge = byId("state");
    badge.textContent = words;
    badge.className = `badge ${state === "live" ? "live" : state === "ended" ? "" : "away"}`;
    const here = state === "live";
    byId("stage").classList.toggle("stale", !here);
    byId("away").hidden = here;
    if (here) {
      this.away = null;
      return;
    }
    this.away ??= new Date();
    byId("away").firstElementChild.textContent =
      { away: "No camera signal", ended: "Source ended" }[state] ?? "Server unreachable";
    byId("away-since").textContent = `since ${this.away.toLocaleTimeString()}`;
  }

  showStatus(status) {
    this.showState(status.state);
    const live = status.state === "live";
    const now = performance.now() / 1000;
    const figure = (value) => (live && value !== undefined ? value : null);
    this.charts.fps.push(now, [figure(status.fps)]);
    this.charts.latency.push(now, [figure(status.inference_ms), figure(status.age_ms)]);
    this.charts.temperature.push(now, [status.temperature_c]);
    if (!live || status.categories === undefined) return;
    const decision = status.decision ?? { label: status.label, score: status.score };
    byId("label").textContent = decision.label ?? "unknown";
    byId("score").textContent = decision.label === null ? "" : `${(100 * decision.score).toFixed(0)}%`;
    byId("rate").textContent = `${status.fps.toFixed(1)} fps, frame age ${status.age_ms.toFixed(0)} ms`;
    showBars(byId("scores"), status.categories);
  }

  showEvent(event, number) {
    if (number <= this.seen) return;
    this.seen = number;
    const list = byId("event-list");
    list.querySelector(".nothing")?.remove();
    const item = document.createElement("li");
    const time = new Date(1000 * event.time);
    const score = event.label === null ? "" : ` ${(100 * event.score).toFixed(0)}%`;
    item.append(
      element("time", time.toLocaleTimeString([], { timeStyle: "medium" }), { dateTime: time.toISOString() }),
      element("span", `${event.label ?? "unknown"}${score}`),
      element("small", `was ${event.previous ?? "unknown"} for ${event.lasted_s.toFixed(1)} s`),
    );
    list.prepend(item);
    while (list.children.length > SHOWN_EVENTS) list.lastElementChild.remove();
  }

  /** Draws the classified region over the picture, which may be letterboxed. */
  placeRegion() {
    const { region } = this.info;
    const { naturalWidth, naturalHeight, clientWidth, clientHeight } = this.picture;
    if (!region || !naturalWidth) return;
    const scale = Math.min(clientWidth / naturalWidth, clientHeight / naturalHeight);
    const [width, height] = [naturalWidth * scale, naturalHeight * scale];
    const box = byId("region");
    box.hidden = false;
    box.style.left = `${(clientWidth - width) / 2 + region[0] * width}px`;
    box.style.top = `${(clientHeight - height) / 2 + region[1] * height}px`;
    box.style.width = `${region[2] * width}px`;
    box.style.height = `${region[3] * height}px`;
  }
}

/** Collects training pictures while the button is held. */
class Collect {
  constructor(labels) {
    this.button = byId("hold");
    this.name = byId("class-name");
    this.labels = labels;
    this.held = false;
    byId("collect").hidden = false;
    this.button.addEventListener("pointerdown", (event) => {
      this.button.setPointerCapture(event.pointerId); // keep collecting if the finger slips off
      this.start();
    });
    for (const name of ["pointerup", "pointercancel", "blur"]) this.button.addEventListener(name, () => this.stop());
    this.button.addEventListener("contextmenu", (event) => event.preventDefault());
    this.button.addEventListener("keydown", (event) => {
      if (event.key === " " || event.key === "Enter") this.start();
    });
    this.button.addEventListener("keyup", () => this.stop());
    document.addEventListener("visibilitychange", () => this.stop());
    ask("collect").then(async (response) => response.ok && this.showCounts(await response.json()));
  }

  async start() {
    if (this.held) return;
    if (!this.name.value.trim()) {
      this.note("Enter a class name first.", true);
      this.name.focus();
      return;
    }
    this.held = true;
    this.button.classList.add("held");
    this.button.textContent = "Collecting…";
    const tally = { saved: 0, duplicate: 0 };
    while (this.held) {
      const next = new Promise((resolve) => setTimeout(resolve, COLLECT_EVERY_MS));
      if (!(await this.take(tally))) this.stop();
      await next;
    }
  }

  async take(tally) {
    try {
      const body = JSON.stringify({ label: this.name.value });
      const response = await ask("collect", { method: "POST", headers: { "Content-Type": "application/json" }, body });
      if (!response.ok) {
        this.note(await detailOf(response), true);
        return false;
      }
      const { outcome, classes } = await response.json();
      if (outcome in tally) tally[outcome] += 1;
      this.note(`${tally.saved} saved, ${tally.duplicate} near-duplicates skipped.`);
      this.showCounts(classes);
      return true;
    } catch {
      this.note("Cannot reach the server.", true);
      return false;
    }
  }

  stop() {
    this.held = false;
    this.button.classList.remove("held");
    this.button.textContent = "Hold to collect";
  }

  note(text, isError = false) {
    byId("collect-note").textContent = text;
    byId("collect-note").classList.toggle("error", isError);
  }

  showCounts(classes) {
    const table = byId("counts");
    table.hidden = classes.length === 0;
    table.tBodies[0].replaceChildren(
      ...classes.map(({ label, pictures, duplicates }) => {
        const row = document.createElement("tr");
        row.append(element("td", label), element("td", pictures), element("td", duplicates));
        return row;
      }),
    );
    const names = new Set([...classes.map(({ label }) => label), ...this.labels]);
    byId("class-names").replaceChildren(...[...names].map((name) => element("option", "", { value: name })));
  }
}

async function classifyFile(file) {
  const answer = byId("answer");
  answer.classList.remove("error");
  answer.textContent = "Classifying…";
  try {
    const response = await ask("predict", { method: "POST", body: file });
    if (!response.ok) throw new Error(await detailOf(response));
    const result = await response.json();
    answer.textContent = `${result.width}×${result.height}, inference ${result.inference_ms.toFixed(1)} ms`;
    showBars(byId("answer-scores"), result.categories);
  } catch (error) {
    answer.textContent = error.message;
    answer.classList.add("error");
    byId("answer-scores").replaceChildren();
  }
}

async function open() {
  let response;
  try {
    response = await ask("info");
  } catch {
    byId("state").textContent = "disconnected";
    setTimeout(open, 2000);
    return;
  }
  byId("sign-in").hidden = response.status !== 401;
  if (response.status === 401) {
    byId("state").textContent = "token required";
    if (token()) byId("sign-in-error").textContent = "Wrong token.";
    byId("token").focus();
    return;
  }
  const info = await response.json();
  byId("model").textContent = info.model;
  byId("source").textContent = info.source ?? "";
  byId("version").textContent = `edge-runtime ${info.version}`;
  document.title = `${info.model} – edge-runtime`;
  byId("ask").hidden = false;
  if (info.source === null) {
    byId("state").textContent = "no camera";
  } else {
    new Live(info);
    if (info.collects) new Collect(info.labels);
  }
}

byId("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", byId("token").value);
  open();
});
byId("file").addEventListener("change", () => {
  if (byId("file").files.length) classifyFile(byId("file").files[0]);
});
open();
