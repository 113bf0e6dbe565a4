// Goes through the slices of a result by keyboard, wheel, finger and slider. Without this file the links do it.
"use strict";

(() => {
  const section = document.querySelector("#slices[data-source]");
  if (!section) return;

  const words = section.dataset;
  const film = section.querySelector(".film");
  const frame = film.querySelector(".frame");
  const edges = ["left", "right", "top", "bottom"].map((side) => film.querySelector(`.at-${side}`));
  const what = section.querySelector(".what");
  const more = section.querySelector(".more");
  const links = Object.fromEntries(
    [...section.querySelectorAll("[data-step]")].map((link) => [link.dataset.step, link]),
  );
  // Slices that are kept decoded: some hundred kilobytes each, 20 MB at most.
  const KEPT = 16;
  // What is fetched before it is asked for, nearest first.
  const NEAR = [1, -1, 2, -2, 3];
  const number = new Intl.NumberFormat(document.documentElement.lang, {
    minimumFractionDigits: 1,
    maximumFractionDigits: 1,
  });
  const whole = new Intl.NumberFormat(document.documentElement.lang, { maximumFractionDigits: 0 });

  let slices = [];
  let wanted = Number(words.place);
  let shown = wanted;
  let overlay = words.overlay === "1";
  let fetching = false;
  let remembering = 0;
  const kept = new Map();

  const slider = document.createElement("input");

  function filled(pattern, values) {
    return pattern.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  }

  function sentence(one) {
    return filled(one.station ? words.station : words.stack, { ...one, height: whole.format(one.height_mm) });
  }

  function remark(one) {
    if (one.elsewhere) return `; ${words.elsewhere}`;
    if (!one.drawn) return words.bare ? `; ${words.bare}` : "";
    if (!one.areas) return "";
    const areas = Object.entries(one.areas).map(([name, area]) => [name.replace("_cm2", ""), number.format(area)]);
    return `; ${filled(words.areas, Object.fromEntries(areas))}`;
  }

  async function picture(address, kind, alt) {
    if (!address) return null;
    const image = new Image();
    image.className = kind;
    image.alt = alt;
    image.draggable = false;
    image.src = address;
    await image.decode();
    return image;
  }

  async function fetched(place) {
    const one = slices[place - 1];
    return Promise.all([
      picture(one.image, "layer", sentence(one)),
      picture(one.drawing, "layer drawing", ""),
    ]);
  }

  function next() {
    const places = [wanted, ...NEAR.map((step) => wanted + step)];
    return places.find((place) => place >= 1 && place <= slices.length && !kept.has(place));
  }

  // One slice after the other: first the one that is wanted, then its neighbours.
  async function work() {
    if (fetching) return;
    fetching = true;
    try {
      for (let place = next(); place !== undefined; place = next()) {
        const layers = await fetched(place);
        kept.set(place, layers);
        if (place === wanted) render();
        for (const old of kept.keys()) {
          if (kept.size <= KEPT) break;
          if (Math.abs(old - wanted) > NEAR.length) kept.delete(old);
        }
      }
    } catch {
      // A neighbour that cannot be loaded says nothing of the slice that is shown.
      if (!kept.has(wanted)) {
        what.textContent = words.failed;
        more.textContent = "";
      }
    } finally {
      fetching = false;
    }
  }

  function render() {
    const one = slices[wanted - 1];
    shown = wanted;
    frame.setAttribute("viewBox", `0 0 ${one.width} ${one.height}`);
    film.replaceChildren(frame, ...kept.get(wanted).filter(Boolean), ...edges);
    edges.forEach((edge, side) => {
      edge.textContent = one.letters[side];
    });
    what.textContent = sentence(one);
    more.textContent = remark(one);
    slider.setAttribute("aria-valuetext", sentence(one));
    dress();
  }

  function dress() {
    film.classList.toggle("no-drawing", !overlay);
    const places = { first: 1, down: shown - 1, up: shown + 1, last: slices.length };
    for (const [step, place] of Object.entries(places)) {
      const end = place < 1 || place > slices.length || place === shown;
      if (end) links[step].setAttribute("aria-disabled", "true");
      else links[step].removeAttribute("aria-disabled");
      links[step].href = address(Math.min(Math.max(place, 1), slices.length), overlay);
    }
    if (links.toggle) {
      links.toggle.textContent = overlay ? words.hide : words.show;
      links.toggle.href = address(shown, !overlay);
    }
    clearTimeout(remembering);
    remembering = setTimeout(() => history.replaceState(null, "", address(shown, overlay)), 400);
  }

  function address(place, drawing) {
    return `?slice=${place}&overlay=${drawing ? 1 : 0}#slices`;
  }

  function go(place) {
    wanted = Math.min(Math.max(place, 1), slices.length);
    slider.value = wanted;
    if (kept.has(wanted)) {
      const layers = kept.get(wanted);
      kept.delete(wanted);
      kept.set(wanted, layers);
      render();
    }
    work();
  }

  function toggle() {
    overlay = !overlay;
    dress();
  }

  const steps = {
    first: () => go(1),
    down: () => go(wanted - 1),
    up: () => go(wanted + 1),
    last: () => go(slices.length),
    toggle,
  };
  const keys = {
    ArrowUp: steps.up,
    ArrowRight: steps.up,
    ArrowDown: steps.down,
    ArrowLeft: steps.down,
    PageUp: () => go(wanted + 5),
    PageDown: () => go(wanted - 5),
    Home: steps.first,
    End: steps.last,
    " ": toggle,
    o: toggle,
    O: toggle,
  };

  function onKey(event) {
    const act = keys[event.key];
    if (!act || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    act();
  }

  // A turn of the wheel goes through the slices, unless the page itself is just being scrolled past.
  let scrolled = 0;
  let turned = 0;
  function onWheel(event) {
    const up = event.deltaY < 0;
    const end = up ? wanted >= slices.length : wanted <= 1;
    if (event.ctrlKey || end || performance.now() - scrolled < 250) return;
    event.preventDefault();
    turned += event.deltaMode === 0 ? event.deltaY : 40 * Math.sign(event.deltaY);
    if (Math.abs(turned) < 30) return;
    turned = 0;
    go(wanted + (up ? 1 : -1));
  }

  // A finger that moves sideways goes through the slices; up and down it scrolls the page.
  let begun = null;
  function onDrag(event) {
    if (begun === null || event.pointerType === "mouse") return;
    const moved = Math.trunc((event.clientX - begun.x) / 14);
    if (begun.place + moved !== wanted) go(begun.place + moved);
  }

  async function start() {
    const answer = await fetch(words.source, { headers: { Accept: "application/json" } });
    if (!answer.ok) return;
    slices = (await answer.json()).items;

    Object.assign(slider, { type: "range", min: 1, max: slices.length, step: 1, value: wanted, className: "slider" });
    slider.setAttribute("aria-label", words.slider);
    slider.addEventListener("input", () => go(Number(slider.value)));
    section.querySelector(".caption").before(slider);

    film.tabIndex = 0;
    film.setAttribute("role", "group");
    film.setAttribute("aria-label", words.help);
    film.title = words.help;
    film.classList.add("live");
    film.addEventListener("keydown", onKey);
    film.addEventListener("wheel", onWheel, { passive: false });
    film.addEventListener("pointerdown", (event) => {
      begun = { x: event.clientX, place: wanted };
    });
    film.addEventListener("pointermove", onDrag);
    for (const done of ["pointerup", "pointercancel", "pointerleave"]) {
      film.addEventListener(done, () => {
        begun = null;
      });
    }
    window.addEventListener("scroll", () => {
      scrolled = performance.now();
    }, { passive: true });
    for (const [step, link] of Object.entries(links)) {
      link.addEventListener("click", (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        steps[step]();
      });
    }
    go(wanted);
  }

  start();
})();
