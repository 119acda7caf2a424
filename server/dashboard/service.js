// Asking the service: JSON in, the result out, every failure an Error with the service's own sentence.

const KEY = "pqdb-api-key";

export class Locked extends Error {}

export function keep(key) {
  sessionStorage.setItem(KEY, key);
}

export async function ask(method, path, body) {
  const headers = {};
  const key = sessionStorage.getItem(KEY);
  if (key) headers["api-key"] = key;
  if (body !== undefined) headers["content-type"] = "application/json";
  const answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const text = await answer.text();
  if (answer.status === 401 || answer.status === 403) throw new Locked(text);
  let told;
  try {
    told = JSON.parse(text);
  } catch {
    throw new Error(`${answer.status}: ${text.slice(0, 200)}`);
  }
  if (!answer.ok) throw new Error(told.status?.error ?? `${answer.status}`);
  return told.result ?? told;
}

export const of = (name, verb = "") => `/collections/${encodeURIComponent(name)}${verb}`;
export const native = (name, verb) => `/pqdb/v1/collections/${encodeURIComponent(name)}/${verb}`;
