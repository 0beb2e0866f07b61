/** Drive a video element by a room's state: load, hold, start at the given moment, and correct its drift. */

import { computePosition, DriftPolicy } from "./sync.js";

const TICK_MS = 100;
/** A film that stands is set to its place when it is off by more: all see the same picture. */
const STANDING_SECONDS = 0.001;
/** Report a stall that lasts this long: a seek of our own is over sooner. */
const STALL_MS = 400;
/** Who is so near to the end plays on up to it. */
const END_SECONDS = 0.5;
/** A film that a browser has stopped is played again after so long. */
const PLAY_AGAIN_SECONDS = 1;
const HLS_SCRIPT = "/static/hls-1.7.4.light.min.js";

export class PartyPlayer extends EventTarget {
  /**
   * Events: `waiting` (the film stalls), `ready` (it can play on), `blocked` (sound needs a gesture first),
   * `broken` (the film can't be played), `tick`.
   */
  constructor(video, clock, policy = new DriftPolicy()) {
    super();
    this.video = video;
    this.clock = clock;
    this.policy = policy;
    this.state = null;
    this.url = null;
    this.hls = null;
    this.isStalled = false;
    this.mustReport = false;
    this.seekStart = null;
    this.lastPlay = 0;
    this.startTimer = null;
    this.stallTimer = null;
    video.addEventListener("waiting", () => this.#watchStall());
    video.addEventListener("stalled", () => this.#watchStall());
    for (const name of ["canplay", "canplaythrough", "playing", "seeked"]) {
      video.addEventListener(name, () => this.#checkReady());
    }
    video.addEventListener("seeked", () => this.#measureSeek());
    video.addEventListener("error", () => this.#send("broken"));
    this.timer = setInterval(() => this.#tick(), TICK_MS);
  }

  /** Where the film should be now. */
  get wanted() {
    const position = computePosition(this.state, this.clock.read());
    return Math.min(position, this.video.duration || Infinity);
  }

  /** Follow a new state. */
  async follow(state) {
    const before = this.state;
    this.state = state;
    const isNewFilm = state.url !== this.url;
    if (isNewFilm) await this.#load(state.url);
    const isHeldAnew = state.held && !(before && before.held);
    const isMoved = !before || before.media_time !== state.media_time || isNewFilm;
    if (state.held && (isHeldAnew || isMoved)) this.mustReport = true;
    this.policy.reset();
    if (this.url) this.#apply();
  }

  /** Answer for the film once more, for instance after a reconnect. */
  reportAgain() {
    this.mustReport = true;
    this.#checkReady();
  }

  /** Start after a gesture of the person, with sound. */
  async allow() {
    this.video.muted = false;
    await this.#play();
  }

  close() {
    clearInterval(this.timer);
    clearTimeout(this.startTimer);
    clearTimeout(this.stallTimer);
    this.#unload();
  }

  #apply() {
    clearTimeout(this.startTimer);
    this.video.playbackRate = this.state.rate;
    if (this.state.paused || this.state.held) return this.#stand();
    const delay = this.state.server_time - this.clock.read();
    if (delay <= 0) return this.#start();
    this.#stand();
    this.startTimer = setTimeout(() => this.#start(), delay * 1000);
    return undefined;
  }

  #stand() {
    this.video.pause();
    if (Math.abs(this.video.currentTime - this.state.media_time) > STANDING_SECONDS) {
      this.#seek(this.state.media_time);
    }
    this.#checkReady();
  }

  #start() {
    if (this.wanted >= this.video.duration) {
      this.#showEnd();
      return;
    }
    const lead = this.policy.chooseStart(this.wanted, this.video.currentTime, this.state.rate);
    if (lead !== null) this.#seek(this.wanted + lead);
    this.#play();
  }

  /** The room is beyond the end: show the last frame, as to those who have watched up to it. */
  #showEnd() {
    const video = this.video;
    if (video.ended || video.duration - video.currentTime < END_SECONDS) return;
    video.pause();
    this.#seek(video.duration);
  }

  async #play() {
    if (!this.state || this.state.paused || this.state.held) return;
    try {
      await this.video.play();
    } catch (error) {
      if (error.name !== "NotAllowedError") return;
      // Browsers start a film by themselves only without sound; the page offers the sound then.
      this.#send("blocked");
      if (this.video.muted) return;
      this.video.muted = true;
      await this.#play();
    }
  }

  #tick() {
    this.#send("tick");
    if (!this.state || !this.url || this.state.paused || this.state.held) return;
    const video = this.video;
    if (this.clock.read() < this.state.server_time) return;
    if (this.wanted >= video.duration) {
      this.#showEnd();
      return;
    }
    if (video.seeking || video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA) return;
    if (video.paused) {
      this.#playAgain();
      return;
    }
    const choice = this.policy.decide(this.wanted, video.currentTime, this.state.rate, this.clock.now());
    if (choice.seek !== undefined) {
      video.playbackRate = this.state.rate;
      this.#seek(this.wanted + choice.seek);
    } else if (Math.abs(video.playbackRate - choice.rate) > 0.001) {
      video.playbackRate = choice.rate;
    }
  }

  /** Play a film that a browser has stopped, such as one of a tab that was in the background: once a second. */
  #playAgain() {
    const now = this.clock.now();
    if (now - this.lastPlay < PLAY_AGAIN_SECONDS) return;
    this.lastPlay = now;
    this.#start();
  }

  #seek(position) {
    // What loads its first bytes takes longer than a seek.
    const isLoaded = this.video.readyState >= HTMLMediaElement.HAVE_METADATA;
    this.seekStart = isLoaded ? this.clock.now() : null;
    this.video.currentTime = position;
  }

  #measureSeek() {
    if (this.seekStart === null) return;
    if (!this.video.paused) this.policy.addSeekDuration(this.clock.now() - this.seekStart);
    this.seekStart = null;
  }

  #watchStall() {
    if (!this.state || this.state.paused || this.isStalled || this.stallTimer) return;
    this.stallTimer = setTimeout(() => {
      this.stallTimer = null;
      if (this.#canPlay() || this.video.ended) return;
      this.isStalled = true;
      this.mustReport = true;
      this.#send("waiting");
    }, STALL_MS);
  }

  #canPlay() {
    return !this.video.seeking && this.video.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA;
  }

  #checkReady() {
    const isAtEnd = this.video.ended || this.video.currentTime >= this.video.duration;
    if (!this.#canPlay() && !(isAtEnd && !this.video.seeking)) return;
    this.isStalled = false;
    if (!this.mustReport) return;
    this.mustReport = false;
    this.#send("ready");
  }

  async #load(url) {
    this.#unload();
    this.url = url;
    if (!url) return;
    const isList = /\.m3u8($|[?#])/.test(url);
    if (isList && !this.video.canPlayType("application/vnd.apple.mpegurl")) {
      await this.#loadList(url);
      return;
    }
    this.video.src = url;
  }

  async #loadList(url) {
    await loadScript(HLS_SCRIPT);
    if (this.url !== url) return;
    if (!window.Hls || !window.Hls.isSupported()) {
      this.#send("broken");
      return;
    }
    this.hls = new window.Hls({ enableWorker: false, startPosition: this.wanted });
    this.hls.on(window.Hls.Events.ERROR, (name, data) => data.fatal && this.#send("broken"));
    this.hls.loadSource(url);
    this.hls.attachMedia(this.video);
  }

  #unload() {
    if (this.hls) this.hls.destroy();
    this.hls = null;
    this.url = null;
    this.seekStart = null;
    this.video.removeAttribute("src");
    this.video.load();
  }

  #send(name) {
    this.dispatchEvent(new Event(name));
  }
}

/** Load a script that is no module, once. */
function loadScript(address) {
  return new Promise((resolve, reject) => {
    if (document.querySelector(`script[src="${address}"]`)) return resolve();
    const script = document.createElement("script");
    script.src = address;
    script.onload = resolve;
    script.onerror = () => reject(new Error(`${address} can't be loaded`));
    document.head.append(script);
    return undefined;
  });
}
