/** The controls of the film, for the whole room: buttons, the place in the film, the speed, and keys. */

const STEP_SECONDS = 10;
/** Arrow keys that follow each other quickly are one seek. */
const GATHER_MS = 300;

export class Controls {
  constructor(room) {
    this.room = room;
    this.player = room.player;
    for (const id of ["play", "seek", "rate", "mute", "full", "time", "notice", "allow", "screen"]) {
      this[id] = document.getElementById(id);
    }
    this.isDragging = false;
    this.target = null;
    this.play.addEventListener("click", () => this.#togglePlay());
    this.seek.addEventListener("input", () => this.#drag());
    this.seek.addEventListener("change", () => this.#drop());
    this.rate.addEventListener("change", () => room.set({ rate: Number(this.rate.value) }));
    this.mute.addEventListener("click", () => this.#toggleMute());
    this.full.addEventListener("click", () => this.#toggleFull());
    this.screen.addEventListener("keydown", (event) => this.#takeKey(event));
    this.allow.addEventListener("click", () => this.#start());
    this.player.addEventListener("blocked", () => { this.allow.hidden = false; });
    this.player.video.addEventListener("volumechange", () => this.#showMute());
    this.player.addEventListener("broken", () => this.#tell("This browser can't play the film."));
    this.player.addEventListener("tick", () => this.#showTime());
    this.player.video.addEventListener("click", () => this.#togglePlay());
  }

  /** Show the room's state. */
  update() {
    const state = this.room.state;
    if (!state) return;
    const isIdle = !state.url || !this.room.mayControl;
    for (const control of [this.play, this.seek, this.rate]) control.disabled = isIdle;
    this.play.textContent = state.paused ? "Play" : "Pause";
    this.#showRate(state.rate);
    this.player.video.setAttribute("aria-label", state.title || "Film");
    this.#tell(this.#explain(state));
  }

  #explain(state) {
    if (!state.url) return "No film yet. Choose one below.";
    if (!state.held || state.paused) return "";
    const names = (state.waiting_for || []).map((member) => this.room.people.nameOf(member));
    return names.length ? `Waiting for ${names.join(", ")} …` : "Waiting …";
  }

  #tell(text) {
    this.notice.textContent = text;
    this.notice.hidden = !text;
  }

  #showRate(rate) {
    const text = String(rate);
    const isListed = [...this.rate.options].some((option) => option.value === text);
    if (!isListed) this.rate.add(new Option(text, text));
    this.rate.value = text;
  }

  #showTime() {
    const video = this.player.video;
    const end = video.duration || 0;
    if (!this.isDragging) {
      this.seek.max = String(end);
      this.seek.value = String(video.currentTime);
    }
    const text = `${formatTime(Number(this.seek.value))} / ${formatTime(end)}`;
    if (this.time.textContent === text) return;
    this.time.textContent = text;
    this.seek.setAttribute("aria-valuetext", `${formatTime(Number(this.seek.value))} of ${formatTime(end)}`);
  }

  #togglePlay() {
    const state = this.room.state;
    if (!state || this.play.disabled) return;
    this.room.set({ paused: !state.paused });
  }

  #drag() {
    this.isDragging = true;
    this.#showTime();
  }

  #drop() {
    this.isDragging = false;
    this.room.set({ media_time: Number(this.seek.value) });
  }

  #step(seconds) {
    if (this.play.disabled) return;
    const end = this.player.video.duration || 0;
    const from = this.target === null ? this.player.wanted : this.target;
    this.target = Math.max(0, Math.min(end, from + seconds));
    clearTimeout(this.stepTimer);
    this.stepTimer = setTimeout(() => {
      this.room.set({ media_time: this.target });
      this.target = null;
    }, GATHER_MS);
  }

  #toggleMute() {
    const video = this.player.video;
    video.muted = !video.muted;
    this.allow.hidden = true;
  }

  #showMute() {
    this.mute.setAttribute("aria-pressed", String(this.player.video.muted));
  }

  #toggleFull() {
    if (document.fullscreenElement) document.exitFullscreen();
    else if (this.screen.requestFullscreen) this.screen.requestFullscreen();
    // Phones of Apple fill the screen with a video alone.
    else this.player.video.webkitEnterFullscreen?.();
  }

  async #start() {
    this.allow.hidden = true;
    await this.player.allow();
  }

  #takeKey(event) {
    if (event.target !== this.screen || event.ctrlKey || event.metaKey || event.altKey) return;
    const actions = {
      " ": () => this.#togglePlay(),
      k: () => this.#togglePlay(),
      ArrowLeft: () => this.#step(-STEP_SECONDS),
      ArrowRight: () => this.#step(STEP_SECONDS),
      m: () => this.#toggleMute(),
      f: () => this.#toggleFull(),
    };
    const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (!Object.hasOwn(actions, name)) return;
    event.preventDefault();
    actions[name]();
  }
}

/** Minutes and seconds, and hours where there are some. */
export function formatTime(seconds) {
  const whole = Math.floor(seconds || 0);
  const parts = [Math.floor(whole / 60) % 60, whole % 60].map((part) => String(part).padStart(2, "0"));
  const hours = Math.floor(whole / 3600);
  if (hours) return `${hours}:${parts.join(":")}`;
  return parts.join(":").replace(/^0/, "");
}
