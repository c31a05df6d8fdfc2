"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const all = (selector, within = document) => Array.from(within.querySelectorAll(selector));
  const stage = byId("stage");
  const views = all("section.view");
  if (views.length === 0) return; // too much to draw: the details are shown, all of them
  const articles = new Map(all("article").map((article) => [article.id, article]));
  const search = byId("search");
  const only = byId("only");
  const matches = byId("matches");
  const count = byId("count");
  const choice = byId("view");
  const MOST_MATCHES = 12;
  const zooms = new Map();
  let chosen = null;

  const current = () => views.find((view) => !view.hidden);
  const picture = (view) => view.querySelector("svg.picture");
  const nodes = (view) => all("a.node", view);
  const idOf = (node) => decodeURIComponent(node.getAttribute("href").slice(1));

  // --- Which view ---

  function show(view) {
    for (const other of views) other.hidden = other !== view;
    if (!zooms.has(view)) zoom(view, Math.max(fitting(view), LEAST_READABLE));
    choice.value = view.id;
    stage.scrollTo(0, 0);
    rove(view, nodes(view)[0]);
    light();
  }

  function viewWith(id) {
    const here = (view) => nodes(view).some((node) => idOf(node) === id);
    return here(current()) ? current() : views.find((view) => view.dataset.groups !== "true" && here(view));
  }

  // --- How large ---

  const LEAST_READABLE = 0.65;
  const SMALLEST = 0.3;

  function fitting(view) {
    const drawn = picture(view).viewBox.baseVal;
    const room = stage.getBoundingClientRect();
    const height = Math.max(room.height, window.innerHeight / 2);
    const across = Math.min(1, room.width / drawn.width);
    const whole = Math.min(across, height / drawn.height);
    return whole < SMALLEST ? Math.max(across, SMALLEST) : whole;
  }

  function zoom(view, scale) {
    const kept = Math.min(3, Math.max(0.05, scale));
    const drawn = picture(view).viewBox.baseVal;
    const before = zooms.get(view) || kept;
    const middle = [stage.scrollLeft + stage.clientWidth / 2, stage.scrollTop + stage.clientHeight / 2];
    zooms.set(view, kept);
    picture(view).style.width = `${drawn.width * kept}px`;
    picture(view).style.height = `${drawn.height * kept}px`;
    stage.scrollTo(
      (middle[0] * kept) / before - stage.clientWidth / 2,
      (middle[1] * kept) / before - stage.clientHeight / 2,
    );
  }

  // --- What is lit: what is found, or what is chosen and whom it calls ---

  function found(id) {
    const article = articles.get(id);
    if (!article) return false;
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    return words.every((word) => article.dataset.text.includes(word)) && (!only.checked || article.dataset.look === "true");
  }

  function light() {
    const view = current();
    const searching = !chosen && (search.value.trim() !== "" || only.checked);
    const lit = new Set();
    for (const node of nodes(view)) {
      if (searching && node.dataset.about.split(" ").some(found)) lit.add(idOf(node));
    }
    const paths = all("g [data-from]", view);
    if (!searching && chosen) {
      lit.add(chosen);
      const issuer = (articles.get(chosen) || { dataset: {} }).dataset.issuers || "";
      for (const id of issuer.split(" ")) lit.add(id);
      for (const path of paths) {
        if (path.dataset.from === chosen) lit.add(path.dataset.to);
        if (path.dataset.to === chosen) lit.add(path.dataset.from);
      }
      for (const node of nodes(view)) {
        const article = articles.get(idOf(node));
        if (article && (article.dataset.issuers || "").split(" ").includes(chosen)) lit.add(idOf(node));
      }
    }
    const there = searching || (chosen && nodes(view).some((node) => idOf(node) === chosen));
    view.classList.toggle("dimmed", Boolean(there));
    for (const node of nodes(view)) {
      node.classList.toggle("lit", lit.has(idOf(node)));
      node.classList.toggle("chosen", idOf(node) === chosen);
    }
    for (const path of paths) {
      const ends = [path.dataset.from, path.dataset.to];
      path.classList.toggle("lit", there && (searching ? ends.every((id) => lit.has(id)) : ends.includes(chosen)));
    }
  }

  function list() {
    const searching = search.value.trim() !== "" || only.checked;
    const hits = searching ? Array.from(articles.keys()).filter(found) : [];
    matches.replaceChildren(
      ...hits.slice(0, MOST_MATCHES).map((id) => {
        const item = document.createElement("li");
        const link = document.createElement("a");
        link.href = `#${encodeURIComponent(id)}`;
        link.textContent = id;
        item.append(link);
        return item;
      }),
    );
    matches.hidden = hits.length === 0;
    byId("hint").hidden = Boolean(chosen) || searching;
    const more = hits.length > MOST_MATCHES ? `, the first ${MOST_MATCHES} of them below` : "";
    count.textContent = searching ? `${hits.length} of ${articles.size} found${more}` : "";
    light();
    return hits;
  }

  // --- What is chosen ---

  function choose(id, focus) {
    chosen = id;
    for (const article of articles.values()) article.hidden = article.id !== id;
    byId("hint").hidden = Boolean(id);
    if (!id) return light();
    const view = viewWith(id);
    if (view && view !== current()) show(view);
    light();
    const node = nodes(current()).find((one) => idOf(one) === id);
    if (node) {
      rove(current(), node);
      node.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
    if (focus) articles.get(id).querySelector("h2").focus();
    return undefined;
  }

  function follow() {
    const id = decodeURIComponent(location.hash.slice(1));
    const view = views.find((one) => one.id === id);
    if (view) {
      choose(null, false);
      show(view);
      const first = nodes(view)[0];
      if (first && document.activeElement !== choice) first.focus({ preventScroll: true });
    } else if (articles.has(id)) {
      choose(id, true);
    } else {
      choose(null, false);
    }
  }

  // --- The keyboard: one stop for the whole picture, arrows within it ---

  function rove(view, node) {
    for (const one of nodes(view)) one.tabIndex = one === node ? 0 : -1;
  }

  const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  function neighbour(node, way) {
    const place = (one) => {
      const box = one.querySelector("rect.box");
      return [box.x.baseVal.value, box.y.baseVal.value];
    };
    const from = place(node);
    let best = null;
    let least = Infinity;
    for (const one of nodes(current())) {
      const at = place(one);
      const along = (at[0] - from[0]) * way[0] + (at[1] - from[1]) * way[1];
      const aside = Math.abs((at[0] - from[0]) * way[1]) + Math.abs((at[1] - from[1]) * way[0]);
      if (along > 0 && along + 2 * aside < least) {
        best = one;
        least = along + 2 * aside;
      }
    }
    return best;
  }

  stage.addEventListener("keydown", (event) => {
    const node = event.target.closest("a.node");
    if (!node || !WAYS[event.key]) return;
    event.preventDefault();
    const next = neighbour(node, WAYS[event.key]);
    if (!next) return;
    rove(current(), next);
    next.focus();
    next.scrollIntoView({ block: "nearest", inline: "nearest" });
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.target.closest("input, select")) {
      event.preventDefault();
      search.focus();
    }
    if (event.key !== "Escape") return;
    const back = chosen && nodes(current()).find((one) => idOf(one) === chosen);
    search.value = "";
    only.checked = false;
    history.replaceState(null, "", location.pathname + location.search);
    choose(null, false);
    list();
    if (back && event.target.closest("aside")) back.focus();
  });

  // --- The mouse ---

  stage.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    zoom(current(), zooms.get(current()) * Math.exp(-event.deltaY / 300));
  }, { passive: false });

  let grabbed = null;
  stage.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "mouse" || event.button !== 0 || event.target.closest("a")) return;
    grabbed = [event.clientX + stage.scrollLeft, event.clientY + stage.scrollTop];
    stage.classList.add("grabbed");
  });
  window.addEventListener("pointermove", (event) => {
    if (grabbed) stage.scrollTo(grabbed[0] - event.clientX, grabbed[1] - event.clientY);
  });
  window.addEventListener("pointerup", () => {
    grabbed = null;
    stage.classList.remove("grabbed");
  });

  // --- The tools ---

  const seek = () => {
    if (chosen) {
      history.replaceState(null, "", location.pathname + location.search);
      choose(null, false);
    }
    list();
  };
  search.addEventListener("input", seek);
  only.addEventListener("change", seek);
  search.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    const first = list()[0];
    if (first) location.hash = encodeURIComponent(first);
  });
  choice.addEventListener("change", () => { location.hash = encodeURIComponent(choice.value); });
  byId("larger").addEventListener("click", () => zoom(current(), zooms.get(current()) * 1.25));
  byId("smaller").addEventListener("click", () => zoom(current(), zooms.get(current()) / 1.25));
  byId("fit").addEventListener("click", () => zoom(current(), fitting(current())));
  window.addEventListener("hashchange", follow);

  byId("tools").hidden = false;
  byId("hint").hidden = false;
  for (const article of articles.values()) article.hidden = true;
  show(views[0]);
  follow();
})();
