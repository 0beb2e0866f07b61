/**
 * Dawnlist's client for browsers: sends what people do to a collector.
 *
 *   import { DawnlistClient } from "https://collector.example/v1/client.js";
 *   const dawnlist = new DawnlistClient({ endpoint: "https://collector.example", key: "pk_shop" });
 *   dawnlist.track("click", { item: "22423", placement: "shelf-1" });
 *   dawnlist.identify("17850");
 *   dawnlist.watchImpressions(document.querySelector("#shelf"));
 *
 * Events wait in localStorage until the collector has answered for them, so that a page change, a
 * lost network or a blocked request loses none. An event may be sent twice; its id makes it count
 * once.
 */

const QUEUE_PREFIX = "dawnlist-queue-";
const ANONYMOUS_KEY = "dawnlist-anonymous";
const MAX_QUEUE_EVENTS = 500;
/** Browsers refuse beacons and keepalive requests beyond 65,536 bytes in all. */
const MAX_KEEPALIVE_BYTES = 65_536;
/** The events of one request; the rest is for what is around them. */
const MAX_BATCH_BYTES = 60_000;
const MAX_DELAY_MS = 60_000;
const VISIBLE_SHARE = 0.5;
const VISIBLE_MS = 1000;

export class DawnlistClient {
  constructor(options) {
    this.endpoint = options.endpoint.replace(/\/+$/, "");
    this.key = options.key || "";
    this.batchSize = options.batchSize || 50;
    this.flushMs = options.flushMs || 2000;
    this.user = options.user || null;
    this.consent = options.consent !== false && !asksNotToBeTracked();
    this.storage = options.storage || getStorage();
    this.anonymous = this.consent ? readAnonymousId(this.storage) : null;
    this.queueKey = QUEUE_PREFIX + makeId();
    this.events = [];
    this.failures = 0;
    this.timer = null;
    this.isSending = false;
    this.#adoptQueues();
    addEventListener("pagehide", () => this.#sendBeacon());
    addEventListener("online", () => this.#schedule(0));
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "hidden") this.#sendBeacon();
    });
  }

  /** Add an event, and send it soon. Returns its id. */
  track(type, fields = {}) {
    const event = { id: makeId(), type, time: new Date().toISOString(), page: location.pathname };
    Object.assign(event, fields);
    if (this.user) event.user = this.user;
    if (this.anonymous) event.anonymous = this.anonymous;
    if (!this.consent) event.consent = false;
    if (navigator.webdriver) event.properties = { ...event.properties, automated: true };
    try {
      this.events.push(JSON.parse(JSON.stringify(event)));
    } catch (error) {
      // A value that JSON can't hold, such as a page's element. It would hold up all later events.
      console.error(`dawnlist: the event can't be sent: ${error.message}`);
      return event.id;
    }
    // The oldest go first when the collector could not be reached for long.
    while (this.events.length > MAX_QUEUE_EVENTS) this.events.shift();
    this.#save();
    this.#schedule(this.events.length >= this.batchSize ? 0 : this.flushMs);
    return event.id;
  }

  /** Say who has logged in: earlier events of this browser become the user's. */
  identify(user) {
    const isNew = this.user !== user;
    this.user = user;
    if (isNew && this.anonymous) this.track("alias");
  }

  /** Forget the user, and begin with a new anonymous id. */
  reset() {
    this.user = null;
    if (this.consent) this.anonymous = renewAnonymousId(this.storage);
  }

  /**
   * Track an impression of each element with `data-item` below `root`, once it was half visible
   * for a second. `data-position`, `data-placement` and `data-recommendation` go with it, also
   * from elements around it. Returns a function that ends the watch.
   */
  watchImpressions(root) {
    const timers = new Map();
    const observer = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        const element = entry.target;
        clearTimeout(timers.get(element));
        if (!entry.isIntersecting) continue;
        const timer = setTimeout(() => {
          observer.unobserve(element);
          this.track("impression", readElement(element));
        }, VISIBLE_MS);
        timers.set(element, timer);
      }
    }, { threshold: VISIBLE_SHARE });
    for (const element of root.querySelectorAll("[data-item]")) observer.observe(element);
    return () => {
      observer.disconnect();
      timers.forEach((timer) => clearTimeout(timer));
    };
  }

  /** Send what waits, and wait for the answer. */
  async flush() {
    if (this.isSending || !this.events.length) return;
    clearTimeout(this.timer);
    this.timer = null;
    this.isSending = true;
    const batch = this.#chooseBatch(this.batchSize);
    let wait = 0;
    try {
      wait = await this.#send(batch);
    } catch {
      wait = this.#computeDelay();
    } finally {
      this.isSending = false;
    }
    if (this.events.length) this.#schedule(wait);
  }

  /** Send a batch, forget what needs no second sending, and return how long to wait, in ms. */
  async #send(batch) {
    const body = this.#serialize(batch);
    const response = await fetch(`${this.endpoint}/v1/events`, {
      method: "POST",
      headers: { "content-type": "text/plain" },
      body,
      keepalive: countBytes(body) < MAX_KEEPALIVE_BYTES,
    });
    if ([400, 401, 413, 415].includes(response.status)) {
      // Nothing of this batch will ever be taken.
      this.#forget(batch);
      const answer = await response.json();
      console.error(`dawnlist: ${answer.error}`);
      return 0;
    }
    if (response.status !== 202) return this.#computeDelay(response.headers.get("retry-after"));
    const answers = (await response.json()).events;
    this.#forget(batch.filter((_, index) => answers[index].status !== "retry"));
    for (const answer of answers) {
      if (answer.status === "dropped") console.error(`dawnlist: dropped: ${answer.reason}`);
    }
    const isRefused = answers.some((answer) => answer.status === "retry");
    if (isRefused) return this.#computeDelay(response.headers.get("retry-after"));
    this.failures = 0;
    return 0;
  }

  /** Send what waits while the page goes away. There is no answer, so nothing is forgotten. */
  #sendBeacon() {
    const batch = this.#chooseBatch(MAX_QUEUE_EVENTS);
    if (batch.length) {
      navigator.sendBeacon?.(`${this.endpoint}/v1/events`, this.#serialize(batch));
    }
  }

  /** The oldest events, as many as one request may have; at least one if any waits. */
  #chooseBatch(maxEvents) {
    const batch = [];
    let bytes = 0;
    for (const event of this.events.slice(0, maxEvents)) {
      bytes += countBytes(JSON.stringify(event)) + 1;
      if (batch.length && bytes > MAX_BATCH_BYTES) break;
      batch.push(event);
    }
    return batch;
  }

  #serialize(events) {
    const batch = { events, sent_at: new Date().toISOString() };
    if (this.key) batch.key = this.key;
    return JSON.stringify(batch);
  }

  #schedule(delay) {
    if (this.timer !== null && delay > 0) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.timer = null;
      this.flush();
    }, delay);
  }

  /**
   * Double the time with each failure, and spread it so that browsers don't come back together.
   * It is added to the seconds that the collector asks for.
   */
  #computeDelay(retryAfter) {
    this.failures += 1;
    const delay = Math.min(MAX_DELAY_MS, 1000 * 2 ** Math.min(this.failures, 6));
    return 1000 * (Number(retryAfter) || 0) + delay * (0.5 + Math.random());
  }

  #forget(events) {
    const ids = new Set(events.map((event) => event.id));
    this.events = this.events.filter((event) => !ids.has(event.id));
    this.#save();
  }

  #save() {
    try {
      if (this.events.length) this.storage.setItem(this.queueKey, JSON.stringify(this.events));
      else this.storage.removeItem(this.queueKey);
    } catch {
      // The storage is full or forbidden: the events wait in memory.
    }
  }

  /**
   * Take over what pages left that are gone. Each page holds a lock as long as it lives; a queue
   * whose lock is free has no page.
   */
  async #adoptQueues() {
    if (!navigator.locks) return;
    navigator.locks.request(this.queueKey, () => new Promise(() => {}));
    const keys = Object.keys(this.storage).filter((key) => key.startsWith(QUEUE_PREFIX));
    for (const key of keys) {
      if (key === this.queueKey) continue;
      await navigator.locks.request(key, { ifAvailable: true }, (lock) => {
        if (lock) this.#adopt(key);
      });
    }
  }

  #adopt(key) {
    let events = [];
    try {
      events = JSON.parse(this.storage.getItem(key)) || [];
    } catch {
      // Somebody else wrote there.
    }
    this.storage.removeItem(key);
    this.events = [...events, ...this.events];
    this.#save();
    if (this.events.length) this.#schedule(this.flushMs);
  }
}

function readElement(element) {
  const fields = { item: element.dataset.item };
  for (const name of ["placement", "recommendation"]) {
    const value = element.closest(`[data-${name}]`)?.dataset[name];
    if (value) fields[name] = value;
  }
  if (element.dataset.position) fields.position = Number(element.dataset.position);
  return fields;
}

function asksNotToBeTracked() {
  return navigator.doNotTrack === "1" || navigator.globalPrivacyControl === true;
}

/** The bytes of a text in UTF-8: a letter has up to four. */
function countBytes(text) {
  return new TextEncoder().encode(text).length;
}

function makeId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function readAnonymousId(storage) {
  return storage.getItem(ANONYMOUS_KEY) || renewAnonymousId(storage);
}

function renewAnonymousId(storage) {
  const id = makeId();
  try {
    storage.setItem(ANONYMOUS_KEY, id);
  } catch {
    // It lasts as long as the page.
  }
  return id;
}

/** localStorage, or a storage for this page alone where it is forbidden. */
function getStorage() {
  try {
    localStorage.setItem("dawnlist-test", "1");
    localStorage.removeItem("dawnlist-test");
    return localStorage;
  } catch {
    const values = {};
    Object.defineProperties(values, {
      getItem: { value: (key) => values[key] ?? null },
      setItem: { value: (key, value) => { values[key] = value; } },
      removeItem: { value: (key) => { delete values[key]; } },
    });
    return values;
  }
}
