/**
 * Keep a video in step with a room: the server's clock, where the film should be, and what to do about the
 * distance. Nothing here touches the page; all times are seconds.
 */

const SAMPLES = 8;

/** The offset between this browser's clock and the server's, by NTP's four stamps: the best of eight. */
export class ServerClock {
  constructor(now = readLocalTime) {
    this.now = now;
    this.samples = [];
    this.offset = 0;
    this.roundTrip = Infinity;
  }

  /** Take an answer to a ping that was sent at t0, received at t1, answered at t2, and arrived at t3. */
  addSample(t0, t1, t2, t3) {
    const sample = { offset: (t1 - t0 + (t2 - t3)) / 2, roundTrip: t3 - t0 - (t2 - t1) };
    this.samples.push(sample);
    if (this.samples.length > SAMPLES) this.samples.shift();
    // A fast answer had no time to be late on one way only: its offset is the most exact.
    const best = this.samples.reduce((a, b) => (b.roundTrip < a.roundTrip ? b : a));
    this.offset = best.offset;
    this.roundTrip = best.roundTrip;
  }

  get isReady() {
    return this.samples.length > 0;
  }

  /** The server's time now. */
  read() {
    return this.now() + this.offset;
  }
}

/** The browser's time in seconds; it does not jump when somebody sets the clock. */
export function readLocalTime() {
  return (performance.timeOrigin + performance.now()) / 1000;
}

/** Where the film should be at a moment of the server's clock. */
export function computePosition(state, serverTime) {
  if (state.paused || state.held) return state.media_time;
  const elapsed = Math.max(0, serverTime - state.server_time);
  return state.media_time + state.rate * elapsed;
}

export const DRIFT_RULES = {
  /** Correct a distance beyond this one, */
  startSeconds: 0.03,
  /** and go on until it is below this one. */
  stopSeconds: 0.01,
  /** Seek when the distance is larger. */
  seekSeconds: 0.4,
  /** The speed may differ by this share from the room's. */
  maxShare: 0.05,
  /** A small distance is closed in about this time. */
  closeSeconds: 1.0,
  /** Wait so long after a seek before another one; it doubles with each seek that did not help. */
  pauseSeconds: 2.0,
  maxPauseSeconds: 30.0,
};

const DISTANCES = 5;
/** What is assumed of a seek before the first one was measured. */
const FIRST_SEEK_SECONDS = 0.1;
const MAX_SEEK_SECONDS = 2.0;

/**
 * Decide how to close the distance between where the film should be and where it is: by a slightly different
 * speed, or by a seek. A distance counts when it is the median of five, since players report in steps.
 */
export class DriftPolicy {
  constructor(rules = DRIFT_RULES) {
    this.rules = rules;
    this.seekDuration = FIRST_SEEK_SECONDS;
    this.reset();
  }

  /** Forget what was measured: the film was set to another place. */
  reset() {
    this.distances = [];
    this.isCorrecting = false;
    this.seeks = 0;
    this.lastSeek = -Infinity;
  }

  /** Take the time that a seek took, to aim the next one at where the room will be. */
  addSeekDuration(seconds) {
    this.seekDuration += 0.5 * (Math.min(seconds, MAX_SEEK_SECONDS) - this.seekDuration);
  }

  /**
   * Returns `{ rate }`, or `{ seek }` with the number of seconds by which to aim ahead of the room.
   * @param wanted where the film should be
   * @param actual where it is
   * @param roomRate the room's speed
   * @param now any clock in seconds
   */
  decide(wanted, actual, roomRate, now) {
    const distance = this.#filter(wanted - actual);
    if (Math.abs(distance) > this.rules.seekSeconds) return this.#seekOrHurry(distance, roomRate, now);
    if (this.distances.length === DISTANCES) this.seeks = 0;
    return { rate: this.#chooseRate(distance, roomRate) };
  }

  /** The seconds by which to aim ahead of the room with a seek before the start; null if none is needed. */
  chooseStart(wanted, actual, roomRate) {
    if (Math.abs(wanted - actual) <= this.rules.seekSeconds) return null;
    return this.seekDuration * roomRate;
  }

  #filter(distance) {
    this.distances.push(distance);
    if (this.distances.length > DISTANCES) this.distances.shift();
    const sorted = [...this.distances].sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)];
  }

  #seekOrHurry(distance, roomRate, now) {
    const doublings = Math.max(0, this.seeks - 1);
    const pause = Math.min(this.rules.pauseSeconds * 2 ** doublings, this.rules.maxPauseSeconds);
    if (now - this.lastSeek < pause) return { rate: this.#chooseRate(distance, roomRate) };
    this.lastSeek = now;
    this.seeks += 1;
    this.distances = [];
    this.isCorrecting = false;
    return { seek: this.seekDuration * roomRate };
  }

  #chooseRate(distance, roomRate) {
    const size = Math.abs(distance);
    if (size > this.rules.startSeconds) this.isCorrecting = true;
    if (size < this.rules.stopSeconds) this.isCorrecting = false;
    if (!this.isCorrecting) return roomRate;
    const share = distance / (this.rules.closeSeconds * roomRate);
    const bounded = Math.max(-this.rules.maxShare, Math.min(this.rules.maxShare, share));
    return roomRate * (1 + bounded);
  }
}
