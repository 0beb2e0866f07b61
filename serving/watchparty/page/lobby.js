/** The lobby: create a room, and go there as its host. */

import { readName, readUserToken, saveName, saveTicket } from "./tickets.js";

const form = document.querySelector("#create");
const problem = document.querySelector("#problem");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  problem.textContent = "";
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    await createRoom();
  } catch (error) {
    problem.textContent = error.message;
  } finally {
    button.disabled = false;
  }
});

async function createRoom() {
  const headers = { "content-type": "application/json" };
  const token = readUserToken();
  if (token) headers.authorization = `Bearer ${token}`;
  const answer = await fetch("/v1/rooms", { method: "POST", headers, body: JSON.stringify(readForm()) });
  const facts = await answer.json();
  if (!answer.ok) throw new Error(facts.error || `the server answers ${answer.status}`);
  saveName(form.elements.person.value.trim());
  saveTicket(facts.room, facts.ticket);
  location.href = `/rooms/${facts.room}${facts.invitation ? `#invitation=${facts.invitation}` : ""}`;
}

function readForm() {
  const fields = new FormData(form);
  const wish = {
    name: fields.get("name").trim(),
    person: fields.get("person").trim(),
    access: fields.get("access"),
    control: fields.get("control"),
    guests: fields.has("guests"),
  };
  if (fields.get("item").trim()) wish.item = fields.get("item").trim();
  if (fields.get("password")) wish.password = fields.get("password");
  return wish;
}

form.elements.person.value = readName();
