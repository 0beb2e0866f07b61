/** A room's page: join, follow the room's state, and hand each message to the part of the page it is for. */

import { Chat } from "./chat.js";
import { Connection } from "./connection.js";
import { Controls } from "./controls.js";
import { People } from "./people.js";
import { PartyPlayer } from "./player.js";
import { NextFilms } from "./queue.js";
import { askForTicket, dropTicket, readName, readTicket, saveName, saveTicket } from "./tickets.js";

const REFUSALS = { set: "Somebody was quicker", chat: "Your message was not taken" };
const room = document.body.dataset.room;
const byId = (id) => document.getElementById(id);
const status = byId("status");
const joinForm = byId("join");

class Room {
  constructor(ticket) {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.connection = new Connection(`${scheme}://${location.host}/v1/rooms/${room}/socket`, ticket);
    this.player = new PartyPlayer(byId("film"), this.connection.clock);
    this.people = new People(this);
    this.controls = new Controls(this);
    this.chat = new Chat(this);
    this.nextFilms = new NextFilms(this);
    this.state = null;
    this.facts = {};
    this.member = null;
    const connection = this.connection;
    connection.addEventListener("message", (event) => this.#take(event.detail));
    connection.addEventListener("clock", () => this.#follow());
    connection.addEventListener("down", () => this.#showDown());
    connection.addEventListener("closed", (event) => this.#showClosed(event.detail));
    this.player.addEventListener("waiting", () => this.#report("waiting"));
    this.player.addEventListener("ready", () => this.#report("ready"));
    connection.open();
  }

  send(message) {
    return this.connection.send(message);
  }

  /** Change the room's playback, unless somebody has changed it meanwhile. */
  set(changes) {
    if (this.state) this.send({ type: "set", seq: this.state.seq, changes });
  }

  /** Say something in the page's status line, which screen readers read. */
  say(text) {
    status.textContent = text;
  }

  get mayControl() {
    return this.facts.control !== "hosts" || this.people.isHost(this.member);
  }

  #take(message) {
    const handlers = {
      welcome: () => this.#welcome(message),
      resume: () => saveTicket(room, message.ticket),
      state: () => this.#setState(message.state, message.by),
      refused: () => this.#refuse(message),
      room: () => this.#setFacts(message.room || message),
      joined: () => this.people.add(message.member),
      left: () => this.people.remove(message.member),
      members: () => this.people.setAll(message.members),
      chat: () => this.chat.add(message.entry),
      typing: () => this.chat.showTyping(message.member),
      react: () => this.chat.showReaction(message.member, message.emoji),
      queue: () => this.nextFilms.setQueue(message.queue),
      votes: () => this.nextFilms.setVotes(message.votes),
      suggestions: () => this.nextFilms.setSuggestions(message.items),
    };
    if (Object.hasOwn(handlers, message.type)) handlers[message.type]();
  }

  #welcome(message) {
    this.member = message.member;
    if (message.resume) saveTicket(room, message.resume);
    this.people.setAll(message.members);
    this.#setFacts(message.room);
    for (const entry of message.chat) this.chat.add(entry);
    this.chat.sendAgain();
    this.nextFilms.setQueue(message.queue);
    this.nextFilms.setVotes(message.votes);
    showRoom();
    this.say("You are in the room.");
    this.#setState(message.state);
    this.player.reportAgain();
  }

  #setFacts(facts) {
    Object.assign(this.facts, facts);
    byId("invite").hidden = false;
    this.people.showFacts(this.facts);
    this.controls.update();
  }

  #setState(state, by) {
    const before = this.state;
    this.state = state;
    if (before && by && by !== this.member) this.#tellChange(before, state, this.people.nameOf(by));
    this.#follow();
  }

  #follow() {
    if (!this.state || !this.connection.clock.isReady) return;
    this.player.follow(this.state);
    this.controls.update();
  }

  #tellChange(before, state, name) {
    if (before.item !== state.item) this.say(`${name} has put on ${state.title || state.item}.`);
    else if (before.paused !== state.paused) this.say(`${name} has ${state.paused ? "paused" : "started"} the film.`);
    else if (before.rate !== state.rate) this.say(`${name} has set the speed to ${state.rate}.`);
    else this.say(`${name} has moved to another place.`);
  }

  #refuse(message) {
    this.say(`${REFUSALS[message.what] || "That was refused"}: ${message.reason}`);
    if (message.what === "chat") this.chat.refuse(message.id);
    if (message.state) this.#setState(message.state);
  }

  #report(type) {
    if (!this.state) return;
    const { currentTime, duration } = this.player.video;
    const message = { type, seq: this.state.seq, media_time: currentTime };
    // A live stream has no end.
    if (Number.isFinite(duration)) message.duration = duration;
    this.send(message);
  }

  #showDown() {
    this.say("The connection is lost. Connecting again …");
    byId("room").setAttribute("aria-busy", "true");
  }

  #showClosed({ code, reason }) {
    this.player.close();
    if (code !== 4409) dropTicket(room);
    byId("room").hidden = true;
    for (const id of ["leave", "invite"]) byId(id).hidden = true;
    this.say("");
    joinForm.hidden = false;
    byId("problem").textContent = reason;
    byId("person").focus();
  }
}

function showRoom() {
  const isNew = byId("room").hidden;
  joinForm.hidden = true;
  byId("room").hidden = false;
  byId("room").removeAttribute("aria-busy");
  byId("leave").hidden = false;
  if (isNew) byId("screen").focus({ preventScroll: true });
}

function enter(ticket) {
  window.party = new Room(ticket);
}

/** Begin anew: nothing of the room that has ended may go on in the page. */
function comeBack(ticket) {
  saveTicket(room, ticket);
  location.reload();
}

joinForm.addEventListener("submit", async (event) => {
  event.preventDefault();
  const problem = byId("problem");
  const name = byId("person").value.trim();
  problem.textContent = "";
  try {
    // Who was replaced by another page still has a ticket, and takes the place back.
    const ticket = readTicket(room) || (await askForTicket(room, name, byId("room-password").value));
    saveName(name);
    if (window.party) comeBack(ticket);
    else enter(ticket);
  } catch (error) {
    problem.textContent = error.message;
  }
});

byId("invite").addEventListener("click", async () => {
  const invitation = window.party.facts.invitation;
  const link = `${location.origin}/rooms/${room}${invitation ? `#invitation=${invitation}` : ""}`;
  try {
    await navigator.clipboard.writeText(link);
    window.party.say("The invitation is copied.");
  } catch {
    window.prompt("Copy the invitation:", link);
  }
});

byId("leave").addEventListener("click", () => {
  window.party.connection.leave();
  dropTicket(room);
  location.href = "/";
});

byId("password-field").hidden = document.body.dataset.locked !== "true";
byId("person").value = readName();
const kept = readTicket(room);
if (kept) enter(kept);
