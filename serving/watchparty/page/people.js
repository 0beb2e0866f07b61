/** The members of the room, and what hosts may do. */

const UNKNOWN = "Somebody";

export class People {
  constructor(room) {
    this.room = room;
    this.members = new Map();
    /** Names of those who have left: their lines and changes still carry them. */
    this.names = new Map();
    this.panel = document.getElementById("host");
    this.fields = {};
    for (const id of ["control", "strategy", "links", "close"]) this.fields[id] = document.getElementById(id);
    for (const id of ["control", "strategy"]) {
      this.fields[id].addEventListener("change", () => this.#act(id, undefined, this.fields[id].value));
    }
    this.fields.links.addEventListener("change", () => this.#act("links", undefined, this.fields.links.checked));
    this.fields.close.addEventListener("click", () => {
      if (window.confirm("Close the room for everybody?")) this.#act("close");
    });
  }

  setAll(members) {
    this.members = new Map(members.map((member) => [member.id, member]));
    this.#show();
  }

  add(member) {
    const isNew = !this.members.has(member.id);
    this.members.set(member.id, member);
    this.#show();
    if (isNew && member.id !== this.room.member) this.room.say(`${member.name} has joined.`);
  }

  remove(member) {
    const id = member.id || member;
    const name = this.nameOf(id);
    if (this.members.delete(id)) this.room.say(`${name} has left.`);
    this.#show();
  }

  nameOf(id) {
    return this.names.get(id) || UNKNOWN;
  }

  isHost(id) {
    return Boolean(this.members.get(id)?.host);
  }

  showFacts(facts) {
    if (facts.control) this.fields.control.value = facts.control;
    if (facts.strategy) this.fields.strategy.value = facts.strategy;
    this.fields.links.checked = Boolean(facts.links);
    this.#show();
  }

  #act(action, member, value) {
    const message = { type: "host", action };
    if (member !== undefined) message.member = member;
    if (value !== undefined) message.value = value;
    this.room.send(message);
  }

  #show() {
    for (const member of this.members.values()) this.names.set(member.id, member.name);
    const isHost = this.isHost(this.room.member);
    this.panel.hidden = !isHost;
    const lines = [...this.members.values()].map((member) => this.#buildLine(member, isHost));
    document.getElementById("members").replaceChildren(...lines);
    document.getElementById("people-title").textContent = `People (${this.members.size})`;
    if (this.room.controls) this.room.controls.update();
  }

  #buildLine(member, isHost) {
    const line = document.createElement("li");
    const title = document.createElement("span");
    title.className = "title";
    title.textContent = member.name;
    const remarks = [];
    if (member.id === this.room.member) remarks.push("you");
    if (member.host) remarks.push("host");
    if (member.behind) remarks.push("behind");
    const remark = document.createElement("span");
    remark.className = "soft small";
    remark.textContent = remarks.join(", ");
    line.append(title, remark);
    if (isHost && member.id !== this.room.member) line.append(this.#buildButtons(member));
    return line;
  }

  #buildButtons(member) {
    const actions = { kick: "Take out" };
    if (!member.host) actions.add = "Make host";
    actions.hand_over = "Hand over";
    const buttons = Object.entries(actions).map(([action, label]) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = label;
      button.setAttribute("aria-label", `${label}: ${member.name}`);
      button.addEventListener("click", () => this.#act(action, member.id));
      return button;
    });
    const row = document.createElement("div");
    row.className = "row";
    row.append(...buttons);
    return row;
  }
}
