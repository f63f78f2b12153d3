"use strict";

const byId = (id) => document.getElementById(id);
const pictures = byId("pictures");
const history = { latency: [], drops: [], memory: [] };
const KEPT = 300;
let views = [];
let mode = "";
let earlier = null;

function element(tag, text) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  return made;
}

function picture(view) {
  const figure = element("figure");
  const image = element("img");
  image.alt = `the newest frame, ${view}`;
  image.src = `/video/${view}`;
  // A stream that breaks off is asked for again.
  image.onerror = () => setTimeout(() => { if (image.isConnected) image.src = `/video/${view}?${Date.now()}`; }, 1000);
  figure.append(image, element("figcaption", view));
  return figure;
}

function show(wanted) {
  mode = wanted;
  for (const button of byId("modes").children) button.setAttribute("aria-pressed", button.dataset.mode === mode);
  // Streams that are not shown are closed, so that nobody codes them.
  for (const image of pictures.querySelectorAll("img")) image.src = "data:,";
  const shown = mode === "all" ? views : mode === "wipe" ? ["denoised", "noisy"] : [mode];
  pictures.className = mode === "wipe" ? "wipe" : "";
  pictures.replaceChildren(...shown.map(picture));
  byId("wipe-control").hidden = mode !== "wipe";
  byId("legend").hidden = !shown.includes("labels");
  wipe();
}

function wipe() {
  if (mode !== "wipe") return;
  pictures.lastElementChild.style.clipPath = `inset(0 ${100 - Number(byId("wipe").value)}% 0 0)`;
}

function begin(about) {
  views = about.views;
  byId("source").textContent = about.source;
  document.title = `${about.source} – edgeunet`;
  const modes = [...(views.length > 1 ? ["all"] : []), ...(views.includes("denoised") ? ["wipe"] : []), ...views];
  for (const one of modes) {
    const button = element("button", one);
    button.type = "button";
    button.dataset.mode = one;
    button.onclick = () => show(one);
    byId("modes").append(button);
  }
  for (const { name, colour } of about.legend) {
    const row = element("li");
    const square = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const fill = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    fill.setAttribute("width", "100%");
    fill.setAttribute("height", "100%");
    fill.setAttribute("fill", `rgb(${colour.join(" ")})`);
    square.append(fill);
    row.append(square, name);
    byId("legend").append(row);
  }
  for (const view of views) {
    const link = element("a", `snapshot: ${view}`);
    link.href = `/snapshot/${view}.png`;
    link.download = `${view}.png`;
    byId("snapshots").append(link);
  }
  show(modes[0]);
}

function figure(name, value) {
  const box = element("div");
  box.append(element("b", value), element("span", name));
  return box;
}

const number = (value, digits = 1) => (value === null || value === undefined ? "–" : value.toFixed(digits));

function update(now) {
  const hang = now.hangs[0];
  const stale = now.fresh_s === null || now.fresh_s > 5;
  const state = byId("state");
  state.className = hang || stale ? "bad" : "";
  state.textContent = hang ? `${hang.stage} hangs for ${hang.busy_s} s` : stale ? "no fresh frame" : "running";
  const cells = [
    ["frames per second", number(now.fps)],
    ["frames", String(now.frames)],
    ["network p50 / p99 (ms)", `${number(now.latency_ms?.p50)} / ${number(now.latency_ms?.p99)}`],
    ["age p99 (ms)", number(now.age_ms?.p99)],
    ["dropped", String(now.dropped)],
    ["reconnections", String(now.reconnections)],
    ["memory (MiB)", number(now.resident_bytes / 1048576, 0)],
    ...now.sinks.map((sink) => [`${sink.sink}: written / missed`, `${sink.written} / ${sink.missed}`]),
  ];
  byId("figures").replaceChildren(...cells.map(([name, value]) => figure(name, value)));
  const took = earlier ? Math.max(now.running_s - earlier.running_s, 0.001) : 1;
  add("latency", now.latency_ms?.p99 ?? 0);
  add("drops", earlier ? (now.dropped - earlier.dropped) / took : 0);
  add("memory", now.resident_bytes / 1048576);
  earlier = now;
}

function add(name, value) {
  const values = history[name];
  values.push(value);
  if (values.length > KEPT) values.shift();
  draw(byId(name), values);
}

function draw(canvas, values) {
  const scale = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  canvas.width = width * scale;
  canvas.height = height * scale;
  const context = canvas.getContext("2d");
  const style = getComputedStyle(document.body);
  context.scale(scale, scale);
  const top = Math.max(...values, 1e-9) * 1.15;
  context.strokeStyle = style.getPropertyValue("--accent");
  context.lineWidth = 2;
  context.beginPath();
  values.forEach((value, index) => {
    const x = width * (index + KEPT - values.length) / (KEPT - 1);
    const y = height - 2 - (height - 6) * value / top;
    if (index) context.lineTo(x, y); else context.moveTo(x, y);
  });
  context.stroke();
  context.fillStyle = style.getPropertyValue("--quiet");
  context.font = "12px system-ui, sans-serif";
  context.fillText(values[values.length - 1].toFixed(1), 4, 14);
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(`${scheme}://${location.host}/figures`);
  socket.onmessage = (message) => update(JSON.parse(message.data));
  socket.onclose = () => {
    byId("state").className = "bad";
    byId("state").textContent = "the run has ended or cannot be reached";
    setTimeout(connect, 2000);
  };
}

byId("wipe").oninput = wipe;
fetch("/about").then((answer) => answer.json()).then(begin);
connect();
