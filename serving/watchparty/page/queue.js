/** What comes next: the queue, votes, and suggestions for all members. */

export class NextFilms {
  constructor(room) {
    this.room = room;
    this.queue = [];
    this.votes = {};
    this.mine = new Set();
    this.titles = new Map();
    const form = document.getElementById("queue-form");
    const input = document.getElementById("queue-item");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (input.value.trim()) this.#act("add", input.value.trim());
      input.value = "";
    });
    document.getElementById("play-next").addEventListener("click", () => this.#act("next"));
    document.getElementById("suggest").addEventListener("click", () => room.send({ type: "suggest" }));
  }

  /** Show the queue. An entry is an item's id, or `{item, title}`. */
  setQueue(queue) {
    this.queue = queue.map((entry) => (typeof entry === "string" ? { item: entry } : entry));
    for (const entry of this.queue) if (entry.title) this.titles.set(entry.item, entry.title);
    document.getElementById("play-next").disabled = this.queue.length === 0;
    this.#showQueue();
  }

  setVotes(votes) {
    this.votes = votes;
    this.#showQueue();
    for (const button of document.querySelectorAll("#suggestions [data-vote]")) this.#labelVote(button);
  }

  setSuggestions(items) {
    const lines = items.map((item) => this.#buildSuggestion(item));
    const list = document.getElementById("suggestions");
    list.replaceChildren(...lines);
    if (lines.length === 0) list.append(buildElement("li", "soft", "Nothing fits. Does the shop know any of you?"));
  }

  #act(action, item) {
    const message = { type: "queue", action };
    if (item !== undefined) message.item = item;
    this.room.send(message);
  }

  #showQueue() {
    const list = document.getElementById("queue");
    list.replaceChildren(...this.queue.map((entry) => this.#buildEntry(entry)));
    if (this.queue.length === 0) list.append(buildElement("li", "soft", "Nothing is queued."));
  }

  #buildEntry(entry) {
    const title = this.#titleOf(entry.item);
    const line = document.createElement("li");
    const remove = buildButton("Remove", `Remove ${title} from the queue`, () => this.#act("remove", entry.item));
    line.append(buildElement("span", "title", title), this.#buildVote(entry.item), remove);
    return line;
  }

  #buildSuggestion(item) {
    if (item.title) this.titles.set(item.item, item.title);
    const title = this.#titleOf(item.item);
    const line = document.createElement("li");
    const add = buildButton("Queue", `Add ${title} to the queue`, () => this.#act("add", item.item));
    line.append(buildElement("span", "title", title), this.#buildVote(item.item), add);
    const reasons = [];
    if (item.for && item.for.length) reasons.push(`for ${item.for.join(", ")}`);
    if (item.seen_by && item.seen_by.length) reasons.push(`seen by ${item.seen_by.join(", ")}`);
    line.append(buildElement("p", "because", reasons.join(" · ")));
    return line;
  }

  #buildVote(item) {
    const button = buildButton("", "", () => {
      const isFor = !this.mine.has(item);
      if (isFor) this.mine.add(item);
      else this.mine.delete(item);
      this.room.send({ type: "vote", item, for: isFor });
      this.#labelVote(button);
    });
    button.dataset.vote = item;
    this.#labelVote(button);
    return button;
  }

  #labelVote(button) {
    const item = button.dataset.vote;
    const count = this.votes[item] || 0;
    button.textContent = `👍 ${count}`;
    button.setAttribute("aria-label", `Vote for ${this.#titleOf(item)}, ${count} so far`);
    button.setAttribute("aria-pressed", String(this.mine.has(item)));
  }

  #titleOf(item) {
    return this.titles.get(item) || item;
  }
}

function buildElement(tag, style, text) {
  const element = document.createElement(tag);
  element.className = style;
  element.textContent = text;
  return element;
}

function buildButton(text, label, action) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text;
  if (label) button.setAttribute("aria-label", label);
  button.addEventListener("click", action);
  return button;
}
