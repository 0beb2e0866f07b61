/**
 * Jellyfin's published rules for playing together, for the comparison in party_sync.py. Written anew from what
 * jellyfin-web's src/plugins/syncPlay/core/PlaybackCore.js (SpeedToSync, SkipToSync, their thresholds) and
 * timeSync/TimeSync.js (three pings a second apart, then one a minute, the fastest of eight) do.
 */
class JellyfinPolicy {
  constructor(room, isCorrecting) {
    this.room = room;
    this.isCorrecting = isCorrecting;
    this.reset();
  }

  addSeekDuration() {}

  chooseStart() {
    return null;
  }

  reset() {
    const state = this.room.state;
    this.mustSeek = Boolean(state) && this.room.connection.clock.read() >= state.server_time;
    this.start = null;
    this.lastSync = this.lastSync || 0;
    this.fastUntil = 0;
    this.restUntil = 0;
    this.rate = 1;
  }

  decide(wanted, actual, roomRate, now) {
    if (this.start === null) this.start = now;
    if (this.mustSeek) {
      this.mustSeek = false;
      return { seek: 0 };
    }
    if (this.fastUntil && now >= this.fastUntil) {
      this.fastUntil = 0;
      this.rate = 1;
    }
    const isResting = now < this.start + 1.5 || now < this.restUntil || this.fastUntil;
    if (now - this.lastSync < 1.5) return { rate: this.rate };
    this.lastSync = now;
    if (isResting || !this.isCorrecting) return { rate: this.rate };
    return this.correct(wanted - actual, now);
  }

  correct(distance, now) {
    const size = Math.abs(distance);
    if (size >= 0.06 && size < 3) {
      const duration = distance <= -0.2 ? size / 0.8 : 1;
      this.rate = 1 + distance / duration;
      this.fastUntil = now + duration;
    } else if (size >= 0.4) {
      this.restUntil = now + 1.5;
      return { seek: 0 };
    }
    return { rate: this.rate };
  }
}

/** Let a room's page follow Jellyfin's rules. */
window.useJellyfin = (room, isCorrecting) => {
  room.player.policy = new JellyfinPolicy(room, isCorrecting);
  const clock = room.connection.clock;
  const addSample = clock.addSample.bind(clock);
  const first = performance.now();
  let taken = 0;
  clock.samples = [];
  // Three answers a second apart, then one a minute: the page's other answers are not taken.
  clock.addSample = (...stamps) => {
    const elapsed = (performance.now() - first) / 1000;
    const due = taken < 3 ? taken : 60 * (taken - 2);
    if (elapsed < due) return;
    taken += 1;
    addSample(...stamps);
  };
};
