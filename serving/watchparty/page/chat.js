/** Chat as text only, who is typing, and reactions. */

const EMOJIS = { "😍": "love it", "😂": "funny", "👍": "like it", "😮": "surprising", "😢": "sad", "🥱": "boring", "👎": "dislike it" };
const LINES_KEPT = 500;
const TYPING_MS = 3000;
const TYPING_PAUSE_MS = 2000;
const REACTION_MS = 2400;
const LINK = /https?:\/\/[^\s<>"]+/g;

export class Chat {
  constructor(room) {
    this.room = room;
    this.list = document.getElementById("chat");
    this.input = document.getElementById("say");
    /** Messages for which the server has not answered yet, by their id. */
    this.unsent = new Map();
    this.typists = new Map();
    this.lastTyping = 0;
    document.getElementById("chat-form").addEventListener("submit", (event) => this.#submit(event));
    this.input.addEventListener("input", () => this.#tellTyping());
    this.#buildEmojis();
  }

  /** Show a line that the server sends; one's own waiting line makes way for it. */
  add(entry) {
    const waiting = this.unsent.get(entry.id);
    if (waiting) waiting.line.remove();
    this.unsent.delete(entry.id);
    this.room.connection.lastChat = entry.id;
    const key = String(entry.seq);
    if (this.list.querySelector(`[data-seq="${CSS.escape(key)}"]`)) return;
    const line = this.#buildLine(entry.name, entry.text);
    line.dataset.seq = key;
    line.title = new Date(entry.time * 1000).toLocaleTimeString();
    this.#append(line);
    this.typists.delete(entry.member);
    this.#showTypists();
  }

  /** Send what has not been answered: the connection was lost meanwhile. The ids make a line count once. */
  sendAgain() {
    for (const [id, { text }] of this.unsent) this.room.send({ type: "chat", id, text });
  }

  /** Give a refused text back to its writer. */
  refuse(id) {
    const key = id || [...this.unsent.keys()].pop();
    const waiting = this.unsent.get(key);
    if (!waiting) return;
    waiting.line.remove();
    this.unsent.delete(key);
    if (!this.input.value) this.input.value = waiting.text;
  }

  showTyping(member) {
    clearTimeout(this.typists.get(member));
    const forget = () => {
      this.typists.delete(member);
      this.#showTypists();
    };
    this.typists.set(member, setTimeout(forget, TYPING_MS));
    this.#showTypists();
  }

  showReaction(member, emoji) {
    const name = this.room.people.nameOf(member);
    document.getElementById("reactions").textContent = `${name}: ${emoji} ${EMOJIS[emoji] || ""}`;
    const mood = document.createElement("span");
    mood.textContent = emoji;
    mood.style.left = `${5 + 85 * Math.random()}%`;
    document.getElementById("moods").append(mood);
    setTimeout(() => mood.remove(), REACTION_MS);
  }

  #submit(event) {
    event.preventDefault();
    const text = this.input.value.trim();
    if (!text) return;
    const id = makeId();
    const line = this.#buildLine(this.room.people.nameOf(this.room.member), text);
    line.classList.add("waits");
    this.unsent.set(id, { text, line });
    this.#append(line);
    this.input.value = "";
    this.room.send({ type: "chat", id, text });
  }

  #buildLine(name, text) {
    const line = document.createElement("p");
    const author = document.createElement("b");
    author.textContent = name;
    line.append(author, ...this.#buildText(text));
    return line;
  }

  /** The text as nodes: links are live only where a host allows them. */
  #buildText(text) {
    if (!this.room.facts.links) return [text];
    const nodes = [];
    let end = 0;
    for (const match of text.matchAll(LINK)) {
      nodes.push(text.slice(end, match.index), buildLink(match[0]));
      end = match.index + match[0].length;
    }
    return [...nodes, text.slice(end)];
  }

  #append(line) {
    const list = this.list;
    const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    list.append(line);
    while (list.children.length > LINES_KEPT) list.firstChild.remove();
    if (isAtEnd) list.scrollTop = list.scrollHeight;
  }

  #tellTyping() {
    if (Date.now() - this.lastTyping < TYPING_PAUSE_MS) return;
    this.lastTyping = Date.now();
    this.room.send({ type: "typing" });
  }

  #showTypists() {
    const names = [...this.typists.keys()].map((member) => this.room.people.nameOf(member));
    const text = names.length > 3 ? `${names.length} people are typing …` : `${names.join(", ")} typing …`;
    document.getElementById("typing").textContent = names.length ? text : "";
  }

  #buildEmojis() {
    const buttons = Object.entries(EMOJIS).map(([emoji, label]) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = emoji;
      button.setAttribute("aria-label", label);
      button.addEventListener("click", () => this.room.send({ type: "react", emoji }));
      return button;
    });
    document.getElementById("emojis").replaceChildren(...buttons);
  }
}

function buildLink(address) {
  const link = document.createElement("a");
  link.href = address;
  link.textContent = address;
  link.rel = "noopener noreferrer nofollow";
  link.target = "_blank";
  return link;
}

/** A random id (RFC 9562, version 4). `crypto.randomUUID` is missing on pages without TLS. */
export function makeId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 15) | 64;
  bytes[8] = (bytes[8] & 63) | 128;
  const text = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return text.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
