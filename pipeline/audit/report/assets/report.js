// The page's behaviour. Text from the input is only ever inserted as text: nothing here makes HTML out of strings.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const all = (query, root = document) => [...root.querySelectorAll(query)];
  const settings = document.body.dataset;
  const PER_FILE = Number(settings.perFile);
  const ROWS = 2 ** 18; // more than a report ever lists
  const SIDES = ["original", "kept", "removed"];

  // ---------------------------------------------------------------- data, loaded on demand by script tags
  const arrived = new Map();
  const loading = new Map();
  window.lmac = (name, data) => arrived.set(name, data);

  function load(name) {
    if (!loading.has(name)) {
      loading.set(name, new Promise((done, fail) => {
        const script = document.createElement("script");
        script.src = `data/${name}.js`;
        script.onload = () => (arrived.has(name) ? done(arrived.get(name)) : fail(new Error(`data/${name}.js is empty`)));
        script.onerror = () => fail(new Error(`data/${name}.js is missing: was the folder copied in full?`));
        document.head.append(script);
      }));
    }
    return loading.get(name);
  }
  const details = (i) => load(String(Math.floor(i / PER_FILE)).padStart(3, "0")).then((rows) => rows[i % PER_FILE]);

  // ---------------------------------------------------------------- elements
  function make(tag, attributes = {}, ...children) {
    const svg = ["svg", "path", "rect", "line", "text"].includes(tag);
    const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined && child !== "").map((child) => child.nodeType ? child : String(child)));
    return element;
  }
  const fill = (id, ...children) => $(id).replaceChildren(...children.filter(Boolean));
  const pairs = (id, rows, empty) => fill(id, ...(rows.length ? rows : [[empty, ""]]).map(([words, value]) =>
    make("tr", {}, make("th", { scope: "row" }, words), make("td", {}, value === null ? "–" : value))));
  const two = (p) => (p === null || p === undefined ? "–" : p > 0 && p < 0.005 ? "<0.01" : p.toFixed(2));
  const percent = (share) => (share === null || share === undefined ? "–" : `${Math.round(share * 100)}%`);
  const short = (value) => (typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value);
  const many = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
  const say = (words) => { $("said").textContent = words; };

  // ---------------------------------------------------------------- marks
  const store = `lmac-marks-${settings.identity}`;
  let marks = {};
  let kept = true;
  try { marks = JSON.parse(localStorage.getItem(store)) || {}; } catch { kept = false; }

  function mark(clip, change) {
    const now = { mark: "", label: "", note: "", ...marks[clip], ...change };
    // A label or a note alone means that something is undecided.
    if (!now.mark && (now.label || now.note) && !("mark" in change)) now.mark = "unsure";
    if (now.mark || now.label || now.note) marks[clip] = now; else delete marks[clip];
    try { localStorage.setItem(store, JSON.stringify(marks)); } catch { kept = false; }
    showMarks();
  }
  function showMarks() {
    const count = Object.keys(marks).length;
    $("marks-save").hidden = !count;
    $("marks-count").textContent = count;
  }
  function saveMarks() {
    const cell = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    const lines = Object.entries(marks).map(([clip, one]) => [clip, one.mark || "unsure", one.label, one.note].map(cell).join(","));
    const file = new Blob([["clip_id,mark,label,note", ...lines].join("\r\n") + "\r\n"], { type: "text/csv" });
    const link = make("a", { href: URL.createObjectURL(file), download: "marks.csv" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    say(`${many(lines.length, "mark")} downloaded as marks.csv`);
  }

  // ---------------------------------------------------------------- sound: one clip alone, or three sides in step
  const single = new Audio();
  let pressed = null;
  function playOne(button) {
    const again = pressed === button && !single.paused;
    stopOne();
    player.pause();
    if (again) return;
    pressed = button;
    single.src = button.dataset.play;
    single.play().then(() => button.classList.add("playing"), () => say("This sound cannot be played"));
  }
  function stopOne() {
    single.pause();
    if (pressed) pressed.classList.remove("playing");
    pressed = null;
  }
  single.addEventListener("ended", stopOne);

  // All sides play together and only one is heard: switching only unmutes, so it is immediate and in step.
  const player = {
    sounds: {}, side: "", timer: 0, loop: false, length: 0,
    get heard() { return this.sounds[this.side]; },
    get playing() { return Boolean(this.heard && !this.heard.paused); },
    open(paths, length) {
      this.close();
      this.length = length;
      for (const side of SIDES.filter((one) => paths[one])) {
        const sound = make("audio", { preload: "auto", src: paths[side], "data-side": side });
        sound.addEventListener("ended", () => side === this.side && this.ended());
        this.sounds[side] = sound;
        $("player").append(sound);
      }
      this.choose(this.sounds[this.side] ? this.side : Object.keys(this.sounds)[0] || "");
    },
    close() {
      this.pause();
      for (const sound of Object.values(this.sounds)) { sound.removeAttribute("src"); sound.load(); sound.remove(); }
      this.sounds = {};
    },
    choose(side) {
      const before = this.heard;
      this.side = side;
      for (const [name, sound] of Object.entries(this.sounds)) { sound.muted = name !== side; sound.playbackRate = 1; }
      const now = this.heard;
      if (before && now && before !== now) {
        if (Math.abs(now.currentTime - before.currentTime) > 0.02) now.currentTime = before.currentTime;
        // Where a browser plays only one sound at a time, the others stay paused until they are chosen.
        if (!before.paused && now.paused) now.play();
      }
      all("[data-choose]", $("sides")).forEach((button) => button.setAttribute("aria-pressed", button.dataset.choose === side));
    },
    toggle() { if (this.playing) this.pause(); else this.play(); },
    play() {
      if (!this.heard) return;
      stopOne();
      const at = this.heard.ended ? 0 : this.heard.currentTime;
      for (const sound of Object.values(this.sounds)) { if (sound.currentTime !== at) sound.currentTime = at; }
      for (const sound of Object.values(this.sounds)) sound.play().catch(() => {});
      clearInterval(this.timer);
      this.timer = setInterval(() => this.align(), 40);
      this.draw();
    },
    pause() {
      clearInterval(this.timer);
      for (const sound of Object.values(this.sounds)) sound.pause();
      this.show();
    },
    align() {
      for (const sound of Object.values(this.sounds)) {
        if (sound === this.heard || sound.paused || sound.ended) continue;
        const late = this.heard.currentTime - sound.currentTime;
        if (Math.abs(late) > 0.3) sound.currentTime = this.heard.currentTime;
        else sound.playbackRate = Math.abs(late) > 0.003 ? 1 + Math.max(-0.3, Math.min(0.3, late * 5)) : 1;
      }
    },
    seek(seconds) {
      const at = Math.max(0, Math.min(this.length, seconds));
      for (const sound of Object.values(this.sounds)) sound.currentTime = at;
      this.show();
    },
    ended() { if (this.loop) { this.seek(0); this.play(); } else this.pause(); },
    draw() { this.show(); if (this.playing) requestAnimationFrame(() => this.draw()); },
    show() {
      const at = this.heard ? this.heard.currentTime : 0;
      const share = this.length ? Math.min(1, at / this.length) : 0;
      $("play").classList.toggle("on", this.playing);
      $("play").setAttribute("aria-label", this.playing ? "Pause" : "Play");
      $("playhead").style.left = `${share * 100}%`;
      if (document.activeElement !== $("seek") || this.playing) $("seek").value = Math.round(share * 1000);
      $("seek").setAttribute("aria-valuetext", `${at.toFixed(1)} of ${this.length.toFixed(1)} seconds`);
      $("clock").textContent = `${at.toFixed(1)} of ${this.length.toFixed(1)} s`;
    },
  };

  // ---------------------------------------------------------------- cards
  function card(clips, i, paths, note) {
    const has = paths && paths.explanations[0] ? { original: paths.original, ...paths.explanations[0].sounds } : { original: paths && paths.original };
    const key = clips.key[i];
    const plays = ["original", "kept"].filter((kind) => has[kind]).map((kind) =>
      make("button", { type: "button", "data-play": has[kind], "aria-label": `Play ${kind}: ${key}` }, kind));
    const picture = paths && paths.picture
      ? make("img", { src: paths.picture, alt: "", loading: "lazy", width: 320, height: 128 }) : make("span", { class: "blank" });
    return make("article", { class: "card" },
      make("a", { class: "cover", href: `#/clip/${i}`, tabindex: -1, "aria-hidden": "true" }, picture),
      make("p", { class: "plays" }, ...plays),
      make("a", { class: "name", href: `#/clip/${i}` }, key),
      make("p", { class: "calls" }, ...called(clips, i)),
      note ? make("p", { class: "hint" }, note) : null);
  }
  function called(clips, i) {
    const truth = clips.truth[i];
    const differs = truth.length && !truth.includes(clips.label[i]);
    return [make("b", {}, clips.names[clips.label[i]]), ` ${two(clips.p[i])} `, truth.length
      ? make("span", { class: differs ? "of differs" : "of" }, `label ${truth.map((one) => clips.names[one]).join(", ")}`) : null];
  }
  const cards = (id, clips, rows, empty) => Promise.all(rows.map(([i, note]) =>
    details(i).then((one) => card(clips, i, one.media, note)))).then((made) =>
    fill(id, ...(made.length ? made : [make("p", { class: "quietly" }, empty)])));
  function findingLink(f) {
    const finding = $(`finding-${f}`);
    const kind = finding.querySelector(".kind").cloneNode(true);
    return make("li", {}, kind, make("a", { href: `#/clips?finding=${f}` }, finding.querySelector("h3").textContent));
  }

  // ---------------------------------------------------------------- the list of clips
  const list = { clips: null, texts: [], order: [], at: 0, from: -1, to: -1, wanted: {} };
  const FIELDS = { q: "q", called: "f-called", label: "f-label", finding: "f-finding", mark: "f-mark", sort: "f-sort" };
  const BOXES = { differs: "f-differs", sound: "f-sound" };
  const narrow = () => matchMedia("(max-width: 640px)").matches;
  const rowHeight = () => (narrow() ? 68 : 44);

  async function openList() {
    if (list.clips) return list.clips;
    const clips = await load("clips");
    list.texts = clips.key.map((key, i) => `${key} ${clips.names[clips.label[i]]} ${clips.truth[i].map((one) => clips.names[one]).join(" ")}`.toLowerCase());
    const options = (id, used) => $(id).append(...[...used].sort((a, b) => clips.names[a].localeCompare(clips.names[b]))
      .map((one) => make("option", { value: clips.names[one] }, clips.names[one])));
    options("f-called", new Set(clips.label));
    options("f-label", new Set(clips.truth.flat()));
    $("label-names").append(...[...new Set(clips.names)].sort().map((name) => make("option", { value: name })));
    list.clips = clips;
    return clips;
  }

  function order(wanted) {
    const c = list.clips;
    const words = (wanted.q || "").toLowerCase().split(/\s+/).filter(Boolean);
    const label = wanted.called ? c.names.indexOf(wanted.called) : null;
    const truth = wanted.label ? c.names.indexOf(wanted.label) : null;
    const finding = wanted.finding ? Number(wanted.finding) : null;
    const rows = [];
    for (let i = 0; i < c.key.length; i++) {
      if (label !== null && c.label[i] !== label) continue;
      if (truth !== null && !c.truth[i].includes(truth)) continue;
      if (finding !== null && !c.findings[i].includes(finding)) continue;
      if (wanted.differs && (!c.truth[i].length || c.truth[i].includes(c.label[i]))) continue;
      if (wanted.sound && c.media[i] < 2) continue;
      const one = marks[c.clip_id[c.clip[i]]];
      if (wanted.mark && (one ? one.mark : "none") !== wanted.mark) continue;
      if (words.length) {
        const text = one && one.note ? `${list.texts[i]} ${one.note.toLowerCase()}` : list.texts[i];
        if (!words.every((word) => text.includes(word))) continue;
      }
      rows.push(i);
    }
    const down = (wanted.sort || "").startsWith("-");
    const column = (wanted.sort || "").replace("-", "");
    if (!["key", "start", "label", "p", "truth", "ff", "kept", "findings"].includes(column)) return rows;
    const places = list[`by-${column}`] ??= placesOf(c, column);
    // One number holds a row's place and the row, so that only numbers are sorted; rows without a value come last.
    const keys = Float64Array.from(rows, (i) => (places[i] < 0 ? 2 * ROWS : down ? ROWS - places[i] : places[i]) * ROWS + i);
    return Array.from(keys.sort(), (key) => key % ROWS);
  }
  // Where each row stands in a column, as whole numbers from 0 on; -1 where it has no value.
  function placesOf(c, column) {
    if (column === "key") return c.key_rank;
    if (column === "findings") return c.findings.map((found) => (found.length ? found[0] : -1));
    if (column !== "label" && column !== "truth") return c[column].map((value) => (value === null ? -1 : Math.round((value + 1) * 1000)));
    const compare = new Intl.Collator("en", { numeric: true }).compare;
    const place = [];
    c.names.map((_, n) => n).sort((a, b) => compare(c.names[a], c.names[b])).forEach((n, at) => { place[n] = at; });
    return c[column].map((one) => (column === "label" ? place[one] : one.length ? place[one[0]] : -1));
  }

  async function showList(wanted, moved) {
    await openList();
    list.wanted = wanted;
    for (const [name, id] of Object.entries(FIELDS)) if (document.activeElement !== $(id)) $(id).value = wanted[name] || "";
    for (const [name, id] of Object.entries(BOXES)) $(id).checked = Boolean(wanted[name]);
    list.order = order(wanted);
    const total = list.clips.key.length;
    $("list-count").textContent = list.order.length === total ? many(total, "clip") : `${list.order.length.toLocaleString("en")} of ${many(total, "clip")}`;
    $("list").setAttribute("aria-rowcount", list.order.length + 1);
    const column = (wanted.sort || "").replace("-", "");
    all("[data-column]").forEach((head) => head.dataset.column === column
      ? head.setAttribute("aria-sort", wanted.sort.startsWith("-") ? "descending" : "ascending") : head.removeAttribute("aria-sort"));
    list.at = Math.min(list.at, Math.max(0, list.order.length - 1));
    drawRows(true);
    // Back from a clip, the list is where it was left.
    if (moved) $("viewport").scrollTop = Math.max(0, (list.at + 1) * rowHeight() - $("viewport").clientHeight / 2);
  }
  function drawRows(anew) {
    const height = rowHeight();
    const view = $("viewport");
    const from = Math.max(0, Math.floor(view.scrollTop / height) - 8);
    const to = Math.min(list.order.length, Math.ceil((view.scrollTop + view.clientHeight) / height) + 8);
    $("spacer").style.height = `${list.order.length * height}px`;
    if (!anew && from === list.from && to === list.to) return;
    const focused = $("spacer").contains(document.activeElement);
    [list.from, list.to] = [from, to];
    fill("spacer", ...list.order.slice(from, to).map((i, place) => rowOf(i, from + place, height)));
    if (focused) focusRow();
  }
  function rowOf(i, place, height) {
    const c = list.clips;
    const [label, truth, findings] = [c.names[c.label[i]], c.truth[i].map((one) => c.names[one]).join(", "), c.findings[i]];
    const differs = c.truth[i].length && !c.truth[i].includes(c.label[i]);
    const one = marks[c.clip_id[c.clip[i]]];
    const cell = (column, ...children) => make("span", { role: "cell", class: `c-${column}` }, ...children);
    const kinds = findings.map((f) => $(`finding-${f}`).querySelector(".kind").textContent);
    const row = make("div", { role: "row", class: "row", "aria-rowindex": place + 2, "data-place": place },
      cell("key", one && one.mark ? make("span", { class: "mark", "data-mark": one.mark }, one.mark) : null,
        make("a", { href: `#/clip/${i}`, title: c.key[i] }, c.start[i] ? `${c.key[i]} at ${c.start[i]} s` : c.key[i])),
      cell("label", label), cell("p", two(c.p[i])),
      cell("truth", truth ? make("span", { class: differs ? "differs" : null }, truth) : "–"),
      cell("ff", two(c.ff[i])), cell("kept", percent(c.kept[i])), cell("findings", kinds.join(", ")));
    row.style.top = `${place * height}px`;
    return row;
  }
  function focusRow() {
    const link = $("spacer").querySelector(`[data-place="${list.at}"] a`);
    if (link) link.focus({ preventScroll: true });
  }
  function moveRow(step) {
    const view = $("viewport"), height = rowHeight();
    const started = $("spacer").contains(document.activeElement);
    list.at = Math.max(0, Math.min(list.order.length - 1, started ? list.at + step : list.at));
    const top = list.at * height;
    if (top < view.scrollTop) view.scrollTop = top;
    if (top + height > view.scrollTop + view.clientHeight) view.scrollTop = top + height - view.clientHeight;
    drawRows(false);
    focusRow();
  }
  function wantedNow() {
    const wanted = {};
    for (const [name, id] of Object.entries(FIELDS)) if ($(id).value.trim()) wanted[name] = $(id).value;
    for (const [name, id] of Object.entries(BOXES)) if ($(id).checked) wanted[name] = "1";
    return wanted;
  }
  function search(wanted) {
    const query = new URLSearchParams(wanted).toString();
    history.replaceState(null, "", `#/clips${query ? `?${query}` : ""}`);
    $("viewport").scrollTop = 0;
    list.at = 0;
    showList(wanted);
  }

  // ---------------------------------------------------------------- a clip
  const open = { i: -1, clip: "", one: null, target: 0 };

  async function showClip(i) {
    const clips = await openList();
    if (!(i >= 0 && i < clips.key.length)) return missing();
    const one = await details(i);
    if (page.name !== "clip" || page.id !== i) return undefined;
    if (!list.order.includes(i)) list.order = order(list.wanted = {});
    const place = list.order.indexOf(i);
    list.at = place;
    Object.assign(open, { i, one, clip: clips.clip_id[clips.clip[i]], target: 0 });
    const span = `${short(clips.start[i])} to ${short(clips.start[i] + one.length)} s`;
    title(clips.key[i]);
    $("clip-title").textContent = clips.key[i];
    fill("clip-calls", ...called(clips, i), make("span", { class: "of" }, span), one.damaged ? make("span", { class: "of differs" }, "sound is missing up to here") : null);
    const windows = clips.clip.filter((clip) => clip === clips.clip[i]).length;
    if (windows > 1) $("clip-calls").append(make("span", { class: "of" }, make("a", { href: `#/clips${query({ q: clips.key[i], sort: "start" })}` }, `its ${windows} windows`)));
    $("clip-back").textContent = `Clips, ${(place + 1).toLocaleString("en")} of ${list.order.length.toLocaleString("en")}`;
    $("clip-back").href = `#/clips${query(list.wanted)}`;
    step("clip-previous", "clip", list.order[place - 1]);
    step("clip-next", "clip", list.order[place + 1]);
    fill("clip-targets", ...(one.explanations.length > 1 ? one.explanations.map((each, t) =>
      make("button", { type: "button", "data-target": t, "aria-pressed": "false" }, `${each.target} ${two(each.scores.p)}`)) : []));
    fill("clip-findings", ...(one.members.length ? one.members.map(([f, score, suggestion]) => {
      const line = findingLink(f);
      if (suggestion) line.append(make("span", { class: "hint" }, ` ${suggestion}`));
      return line;
    }) : [make("li", { class: "quietly" }, "none")]));
    pairs("clip-probable", one.probable.map(([name, p]) => [name, two(p)]));
    pairs("clip-facts", [["shard", one.shard || "a file of its own"], ["window", one.window_id], ...one.facts.map(([words, value]) => [words, short(value)])]);
    pairs("clip-metadata", one.metadata, "the input has none");
    $("stage-end").textContent = `${short(one.length)} s`;
    showTarget(0);
    showMarking();
    return cards("clip-near", clips, one.near.map(([j, likeness]) => [j, `likeness ${likeness.toFixed(2)}`]), "There is no other recording.");
  }
  function showTarget(t) {
    const { one } = open;
    open.target = t;
    const each = one.explanations[t];
    const media = one.media;
    const of = media && media.explanations[t] ? media.explanations[t] : { sounds: {} };
    const sounds = { ...(media && media.original ? { original: media.original } : {}), ...of.sounds };
    const picture = media && media.picture;
    const drawn = Boolean(picture || of.mask);
    image("spectrogram", picture, `Spectrogram${sounds.original ? "" : " of the kept part"}, ${short(one.length)} seconds; the veil hides what the mask removes`);
    image("veil", of.mask, "");
    $("picture").classList.toggle("alone", Boolean(!picture && of.mask));
    $("picture").classList.toggle("empty", !drawn);
    $("no-picture").hidden = drawn;
    $("playhead").hidden = !drawn || !Object.keys(sounds).length;
    $("veil-control").hidden = !of.mask;
    fill("sides", ...SIDES.filter((side) => sounds[side]).map((side) =>
      make("button", { type: "button", "data-choose": side, "aria-pressed": "false" }, side[0].toUpperCase() + side.slice(1))));
    $("player").hidden = !Object.keys(sounds).length;
    $("no-sound").hidden = !$("player").hidden;
    player.open(sounds, one.length);
    player.show();
    $("words").textContent = each ? `For ${each.target}, the mask ${each.words}.` : "No class of this clip was explained.";
    fill("warnings", ...(each ? each.warnings.map((words) => make("li", {}, words)) : []));
    pairs("clip-scores", each ? Object.entries(each.scores).map(([name, value]) => [name.replaceAll("_", " "), short(value)]) : [], "none");
    all("[data-target]").forEach((button) => button.setAttribute("aria-pressed", Number(button.dataset.target) === t));
  }
  function image(id, source, words) {
    $(id).hidden = !source;
    if (source) $(id).src = source; else $(id).removeAttribute("src");
    $(id).alt = words;
  }
  function fade(value) {
    $("fade").value = value;
    $("veil").style.opacity = value / 100;
  }
  function showMarking() {
    const one = marks[open.clip] || { mark: "", label: "", note: "" };
    all("[data-mark]", $("marking")).forEach((button) => button.setAttribute("aria-pressed", button.dataset.mark === one.mark));
    if (document.activeElement !== $("mark-label")) $("mark-label").value = one.label;
    if (document.activeElement !== $("mark-note")) $("mark-note").value = one.note;
    $("marking-state").textContent = kept ? "A mark applies to the whole recording, with all its windows." : "This browser keeps no marks here: download them before you close the page.";
  }
  function setMark(name) {
    const now = (marks[open.clip] || {}).mark === name ? "" : name;
    mark(open.clip, { mark: now });
    showMarking();
    say(now ? `Marked ${now}` : "Mark removed");
  }

  // ---------------------------------------------------------------- a class
  async function showClass(c) {
    const [{ classes, edges_hz: edges }, clips] = await Promise.all([load("classes"), openList()]);
    const one = classes[c];
    if (!one) return missing();
    title(one.name);
    $("class-title").textContent = one.name;
    step("class-previous", "class", classes[c - 1] && c - 1);
    step("class-next", "class", classes[c + 1] && c + 1);
    const { scores } = one;
    $("class-words").textContent = one.explained ? `On average its masks keep ${percent(scores.energy_kept)} of the sound: alone, that takes the call from ${two(scores.p)} to ${two(scores.p_in)}; without it, to ${two(scores.p_out)}.` : "No window of this class was explained.";
    const figure = (value, caption, note) => make("div", {}, make("dt", {}, caption), make("dd", {}, make("b", {}, value), make("small", {}, note || "")));
    fill("class-figures",
      figure(one.windows.toLocaleString("en"), "windows called so", `in ${many(one.recordings, "recording")}`),
      figure(one.labelled ? one.labelled.toLocaleString("en") : "–", "windows labelled so", one.labelled ? `in ${many(one.labelled_recordings, "recording")}` : one.known ? "no labels" : ""),
      figure(one.labelled && one.known ? percent(one.hits / one.labelled) : "–", "of those are called so", one.known ? "recall" : "the classifier does not know this class"),
      figure(two(one.p), "how sure", "mean probability where called so"),
      figure(two(scores.ff), "how faithful", "mean drop without what is kept (FF)"),
      figure(percent(scores.fid_in), "stand on the kept part alone", "Fid-In"));
    fill("class-findings", ...(one.findings.length + one.also.length ? [...one.findings, ...one.also].map(findingLink) : [make("li", { class: "quietly" }, "none")]));
    chart("bands", one.bands, edges.length ? [100, 300, 1000, 3000, 10000].map((hz) => [hz >= 1000 ? `${hz / 1000} kHz` : `${hz} Hz`, place(edges, hz)]).filter(([, at]) => at > 0.02 && at < 0.98) : [], (n) => `${Math.round(edges[n])} to ${Math.round(edges[n + 1])} Hz`);
    chart("times", one.times, [["start", 0.02], ["middle", 0.5], ["end", 0.98]], (n, of) => `${Math.round((100 * n) / of)}% to ${Math.round((100 * (n + 1)) / of)}% of the window`);
    histogram("chart-sure", one.sure);
    pairs("class-missed", one.missed.map(([name, n]) => [name, n.toLocaleString("en")]), one.labelled ? "nothing else" : "no labels");
    pairs("class-taken", one.taken.map(([name, n]) => [name, n.toLocaleString("en")]), "none");
    $("class-clips").href = `#/clips${query({ called: one.name })}`;
    $("class-clips").hidden = !one.windows;
    return cards("class-cards", clips, one.shown.map((i) => [i]), "None of its clips are shown.");
  }
  // Where a frequency lies among bands of equal width, from 0 to 1.
  function place(edges, hz) {
    const n = edges.findIndex((edge) => edge > hz);
    return n < 1 ? (n < 0 ? 1 : 0) : (n - 1 + (hz - edges[n - 1]) / (edges[n] - edges[n - 1])) / (edges.length - 1);
  }
  function chart(name, { own, others }, ticks, where) {
    const [W, H] = narrow() ? [320, 150] : [480, 170];
    if (!own.length) { fill(`chart-${name}`); $(`chart-${name}-words`).textContent = "Nothing of this class was explained."; return; }
    const top = Math.max(...own, ...others, 0.05);
    const line = (values) => values.map((value, n) => `${n ? "L" : "M"}${(((n + 0.5) / values.length) * W).toFixed(1)} ${(H - (value / top) * H).toFixed(1)}`).join("");
    const words = (x, y, anchor, text) => make("text", { x, y, "text-anchor": anchor }, text);
    fill(`chart-${name}`, make("svg", { viewBox: `-34 -8 ${W + 40} ${H + 34}`, role: "img", "aria-labelledby": `chart-${name}-words` },
      make("line", { class: "base", x1: 0, x2: W, y1: H, y2: H }), make("line", { class: "base", x1: 0, x2: W, y1: 0, y2: 0 }),
      words(-6, 4, "end", two(top)), words(-6, H + 4, "end", "0"),
      ...ticks.map(([text, at]) => words(at * W, H + 18, at < 0.05 ? "start" : at > 0.95 ? "end" : "middle", text)),
      make("path", { class: "own-area", d: `${line(own)}L${W} ${H}L0 ${H}Z` }),
      others.length ? make("path", { class: "others", d: line(others) }) : null, make("path", { class: "own", d: line(own) })));
    const gaps = own.map((value, n) => value - (others[n] ?? 0));
    const most = gaps.indexOf(Math.max(...gaps));
    $(`chart-${name}-words`).textContent = others.length
      ? `Furthest above the other classes at ${where(most, own.length)}: ${two(own[most])} against ${two(others[most])}.`
      : `Highest at ${where(most, own.length)}: ${two(own[most])}. There is no other class to compare with.`;
  }
  function histogram(id, counts) {
    const [W, H, most] = [320, 150, Math.max(...counts, 1)];
    const width = W / counts.length;
    const words = counts.map((n, b) => `${b / 10} to ${(b + 1) / 10}: ${n}`).join("; ");
    fill(id, make("svg", { viewBox: `-4 -18 ${W + 8} ${H + 40}`, role: "img", "aria-label": `Windows by probability. ${words}` },
      make("line", { class: "base", x1: 0, x2: W, y1: H, y2: H }),
      ...counts.map((n, b) => make("rect", { class: "column", x: b * width + 2, y: H - (n / most) * H, width: width - 4, height: (n / most) * H, rx: 2 })),
      ...counts.map((n, b) => (n ? make("text", { x: (b + 0.5) * width, y: H - (n / most) * H - 4, "text-anchor": "middle" }, n.toLocaleString("en")) : null)),
      ...[0, 0.5, 1].map((p) => make("text", { x: p * W, y: H + 18, "text-anchor": ["start", "middle", "end"][p * 2] }, p))));
  }

  // ---------------------------------------------------------------- pages and keys
  const page = { name: "", id: NaN };
  const query = (wanted) => { const text = new URLSearchParams(wanted).toString(); return text ? `?${text}` : ""; };
  const title = (words) => { document.title = words ? `${words} · ${settings.name}` : `${settings.name}: report`; };
  function step(id, kind, to) {
    $(id).hidden = to === undefined || to === false;
    if (!$(id).hidden) $(id).href = `#/${kind}/${to}`;
  }
  function missing() { show("missing"); title("There is no such page"); }
  function show(name) {
    all("[data-page]").forEach((section) => { section.hidden = section.dataset.page !== name; });
    all("[data-nav]").forEach((link) => (link.dataset.nav === name ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current")));
  }
  async function route(event) {
    const [path, search_] = location.hash.replace(/^#\/?/, "").split("?");
    const [name, id] = path.split("/");
    if (name && !["clips", "clip", "class"].includes(name)) return name === "main" || $(name) ? undefined : missing();
    const moved = page.name !== name || page.id !== Number(id);
    Object.assign(page, { name, id: Number(id) });
    stopOne();
    player.pause();
    show(name || "overview");
    title({ clips: "Clips" }[name]);
    if (moved && event) { scrollTo(0, 0); $("main").focus({ preventScroll: true }); }
    try {
      if (name === "clips") await showList(Object.fromEntries(new URLSearchParams(search_ || "")), moved);
      if (name === "clip") await showClip(Number(id));
      if (name === "class") await showClass(Number(id));
    } catch (error) {
      say(error.message);
      $("list-count").textContent = error.message;
    }
    return undefined;
  }
  const go = (hash) => { location.hash = hash; };
  const follow = (id) => { if (!$(id).hidden) go($(id).getAttribute("href")); };
  const help = () => ($("help").open ? $("help").close() : $("help").showModal());

  const KEYS = {
    "?": help, o: () => go("#/"), c: () => go(`#/clips${query(list.wanted)}`), d: () => Object.keys(marks).length && saveMarks(),
    "/": () => { if (page.name !== "clips") go("#/clips"); setTimeout(() => $("q").focus(), 0); },
  };
  const ON_CLIP = {
    j: () => follow("clip-next"), k: () => follow("clip-previous"), " ": () => player.toggle(),
    1: () => player.sounds.original && player.choose("original"), 2: () => player.sounds.kept && player.choose("kept"),
    3: () => player.sounds.removed && player.choose("removed"), ",": () => player.heard && player.seek(player.heard.currentTime - 0.5),
    ".": () => player.heard && player.seek(player.heard.currentTime + 0.5), l: () => $("loop").click(),
    v: () => fade(Number($("fade").value) ? 0 : 100), t: () => open.one.explanations.length > 1 && showTarget((open.target + 1) % open.one.explanations.length),
    r: () => setMark("right"), w: () => setMark("wrong"), u: () => setMark("unsure"),
    e: () => $("mark-label").focus(), n: () => $("mark-note").focus(), Escape: () => follow("clip-back"),
  };
  const ON_LIST = { j: () => moveRow(1), k: () => moveRow(-1), ArrowDown: () => moveRow(1), ArrowUp: () => moveRow(-1) };
  const ON_CLASS = { j: () => follow("class-next"), k: () => follow("class-previous"), Escape: () => go("#/") };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
    const where = event.target;
    const typing = where.matches("textarea, select, input:not([type=range], [type=checkbox])");
    if (typing) {
      if (event.key === "Escape") where.blur();
      if (event.key === "Enter" && where.id === "q") { event.preventDefault(); moveRow(0); }
      return;
    }
    if (event.key.length === 1 && !$("keys-on").checked && event.key !== "?") return;
    if (event.key === " " && where.matches("button, input, summary, a")) return;
    if (event.key.startsWith("Arrow") && where.matches("input")) return;
    const action = ({ clip: ON_CLIP, clips: ON_LIST, class: ON_CLASS }[page.name] || {})[event.key] || KEYS[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.play) playOne(button);
    else if (button.dataset.choose) player.choose(button.dataset.choose);
    else if (button.dataset.target) showTarget(Number(button.dataset.target));
    else if (button.dataset.mark) setMark(button.dataset.mark);
    else if (button.dataset.sort) {
      const column = button.dataset.sort;
      search({ ...wantedNow(), sort: list.wanted.sort === column ? `-${column}` : column });
    }
  });

  all(".tick").forEach((tick) => { tick.style.bottom = `${tick.dataset.up * 100}%`; });
  $("play").addEventListener("click", () => player.toggle());
  $("loop").addEventListener("click", () => { player.loop = !player.loop; $("loop").setAttribute("aria-pressed", player.loop); });
  $("seek").addEventListener("input", () => player.seek(($("seek").value / 1000) * player.length));
  $("picture").addEventListener("click", (event) => {
    const box = $("picture").getBoundingClientRect();
    player.seek(((event.clientX - box.left) / box.width) * player.length);
  });
  $("fade").addEventListener("input", () => fade($("fade").value));
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("filters").addEventListener("input", () => search(wantedNow()));
  $("f-reset").addEventListener("click", (event) => { event.preventDefault(); $("filters").reset(); search({}); });
  $("viewport").addEventListener("scroll", () => drawRows(false), { passive: true });
  $("spacer").addEventListener("focusin", (event) => { list.at = Number(event.target.closest(".row").dataset.place); });
  $("marking").addEventListener("submit", (event) => event.preventDefault());
  $("mark-label").addEventListener("input", () => { mark(open.clip, { label: $("mark-label").value.trim() }); showMarking(); });
  $("mark-note").addEventListener("input", () => { mark(open.clip, { note: $("mark-note").value.trim() }); showMarking(); });
  $("marks-save").addEventListener("click", saveMarks);
  $("help-open").addEventListener("click", help);
  $("help-close").addEventListener("click", help);
  if ($("more-findings")) $("more-findings").addEventListener("click", () => { all("[data-more]").forEach((one) => { one.hidden = false; }); $("more-findings").hidden = true; });
  addEventListener("resize", () => { if (page.name === "clips" && list.clips) drawRows(true); });
  addEventListener("hashchange", route);
  fade(75);
  showMarks();
  route();
})();
