// Reads lines of {"type": "item", "list" or "dictionary", "value": "…"} and prints what npm's structured-field-values
// reads from each (RFC 9651), as JSON; dates as {"date": seconds}, tokens as {"token": "…"}.
import { createInterface } from "node:readline";
import { decodeDict, decodeItem, decodeList } from "structured-field-values";

const decoders = { item: decodeItem, list: decodeList, dictionary: decodeDict };

function plain(decoded) {
  if (Array.isArray(decoded)) return decoded.map(plain);
  if (decoded instanceof Date) return { date: decoded.getTime() / 1000 };
  if (typeof decoded === "symbol") return { token: Symbol.keyFor(decoded) };
  if (decoded !== null && typeof decoded === "object") {
    if ("value" in decoded && "params" in decoded) return plain(decoded.value);
    return Object.fromEntries(Object.entries(decoded).map(([name, member]) => [name, plain(member)]));
  }
  return decoded;
}

for await (const line of createInterface({ input: process.stdin })) {
  const { type, value } = JSON.parse(line);
  let read;
  try {
    read = plain(decoders[type](value));
  } catch (error) {
    read = { error: String(error) };
  }
  console.log(JSON.stringify(read));
}
