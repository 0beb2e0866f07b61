/** Tickets of this tab, and what the address says after its `#`: it is never sent to a server or its logs. */

const TICKET_PREFIX = "dawnlist-party-ticket-";
const NAME_KEY = "dawnlist-party-name";
const USER_TOKEN_KEY = "dawnlist-user-token";

/** The fields after the `#` of the address: `invitation`, `token`. */
export function readFragment() {
  return new URLSearchParams(location.hash.slice(1));
}

/** The token by which the shop's own pages say who the user is; null for a guest. */
export function readUserToken() {
  const token = readFragment().get("token");
  if (token) sessionStorage.setItem(USER_TOKEN_KEY, token);
  return sessionStorage.getItem(USER_TOKEN_KEY);
}

/** The name that the person gave last, in any room. */
export function readName() {
  return localStorage.getItem(NAME_KEY) || "";
}

export function saveName(name) {
  localStorage.setItem(NAME_KEY, name);
}

export function saveTicket(room, ticket) {
  sessionStorage.setItem(TICKET_PREFIX + room, ticket);
}

export function readTicket(room) {
  return sessionStorage.getItem(TICKET_PREFIX + room);
}

export function dropTicket(room) {
  sessionStorage.removeItem(TICKET_PREFIX + room);
}

/** Ask for a ticket. Throws the server's one line when it refuses. */
export async function askForTicket(room, name, password) {
  const wish = { name };
  const invitation = readFragment().get("invitation");
  if (invitation) wish.invitation = invitation;
  if (password) wish.password = password;
  const headers = { "content-type": "application/json" };
  const token = readUserToken();
  if (token) headers.authorization = `Bearer ${token}`;
  const body = JSON.stringify(wish);
  const answer = await fetch(`/v1/rooms/${room}/tickets`, { method: "POST", headers, body });
  const facts = await answer.json();
  if (!answer.ok) throw new Error(facts.error || `the server answers ${answer.status}`);
  return facts.ticket;
}
