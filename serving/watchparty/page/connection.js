/** A room's socket: hello, pings, and reconnects by the renewed ticket, the last seq and the last chat line. */

import { readLocalTime, ServerClock } from "./sync.js";

const FIRST_PINGS = 8;
const FIRST_PING_MS = 150;
const PING_MS = 4000;
const FIRST_DELAY_MS = 250;
const MAX_DELAY_MS = 8000;
/** A socket from which nothing came for so long is dead, whatever the browser says. */
const SILENCE_MS = 15_000;

/** A connection that is not welcome after so long is given up. */
const WELCOME_MS = 10_000;

/** Closes after which a new connection would end the same way. */
export const FINAL_CLOSES = {
  4401: "Your ticket is not valid any more. Join again.",
  4403: "A host has taken you out of the room.",
  4404: "This room does not exist, or has been closed.",
  4409: "You have opened the room somewhere else.",
  4507: "The room is full.",
};

export class Connection extends EventTarget {
  /** Events: `message` (detail: the message), `up`, `down`, `closed` (detail: code and reason),
   * `clock` (the server's time is known). */
  constructor(address, ticket) {
    super();
    this.address = address;
    this.ticket = ticket;
    this.clock = new ServerClock();
    this.lastSeq = null;
    this.lastChat = null;
    this.failures = 0;
    this.pings = 0;
    this.socket = null;
    this.isUp = false;
    this.isOver = false;
    addEventListener("online", () => this.#retryNow());
  }

  open() {
    const socket = new WebSocket(this.address);
    this.socket = socket;
    this.lastHeard = readLocalTime();
    this.welcomeTimer = setTimeout(() => this.#abandon(), WELCOME_MS);
    socket.addEventListener("open", () => this.#sayHello());
    socket.addEventListener("message", (event) => this.#take(JSON.parse(event.data), readLocalTime()));
    socket.addEventListener("close", (event) => {
      if (socket === this.socket) this.#handleClose(event.code);
    });
  }

  /** Send a message; says whether the socket is up. */
  send(message) {
    if (!this.isUp) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }

  /** End the connection for good. */
  leave() {
    this.send({ type: "leave" });
    this.isOver = true;
    this.#stopTimers();
    this.socket.close(1000);
  }

  #sayHello() {
    const hello = { type: "hello", ticket: this.ticket, last_seq: this.lastSeq, last_chat: this.lastChat };
    this.socket.send(JSON.stringify(hello));
  }

  #take(message, time) {
    this.lastHeard = time;
    if (message.type === "pong") {
      this.clock.addSample(message.t0, message.t1, message.t2, time);
      if (this.clock.samples.length === 1) this.#announce("clock");
      return;
    }
    if (message.type === "resume") this.ticket = message.ticket;
    if (message.type === "welcome") this.#welcome(message);
    const state = message.state;
    if (state) this.lastSeq = state.seq;
    this.#announce("message", message);
  }

  #welcome(message) {
    if (message.resume) this.ticket = message.resume;
    clearTimeout(this.welcomeTimer);
    this.isUp = true;
    this.failures = 0;
    this.pings = 0;
    this.#announce("up");
    this.#ping();
  }

  #ping() {
    if (readLocalTime() - this.lastHeard > SILENCE_MS / 1000) {
      this.#abandon();
      return;
    }
    this.send({ type: "ping", t0: readLocalTime() });
    this.pings += 1;
    const delay = this.pings < FIRST_PINGS ? FIRST_PING_MS : PING_MS;
    this.pingTimer = setTimeout(() => this.#ping(), delay);
  }

  #abandon() {
    const socket = this.socket;
    this.socket = null;
    socket.close();
    this.#handleClose(1006);
  }

  #handleClose(code) {
    this.#stopTimers();
    const wasUp = this.isUp;
    this.isUp = false;
    if (this.isOver) return;
    if (FINAL_CLOSES[code]) {
      this.isOver = true;
      this.#announce("closed", { code, reason: FINAL_CLOSES[code] });
      return;
    }
    if (wasUp) this.#announce("down");
    const delay = Math.min(FIRST_DELAY_MS * 2 ** this.failures, MAX_DELAY_MS);
    this.failures += 1;
    // All members lose an owner at the same moment, and must not come back at the same moment.
    this.retryTimer = setTimeout(() => this.open(), delay * (0.5 + Math.random()));
  }

  #retryNow() {
    if (this.isUp || this.isOver || !this.retryTimer) return;
    this.#stopTimers();
    this.open();
  }

  #stopTimers() {
    clearTimeout(this.pingTimer);
    clearTimeout(this.welcomeTimer);
    clearTimeout(this.retryTimer);
    this.retryTimer = null;
  }

  #announce(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
