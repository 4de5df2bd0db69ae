'use strict';
// Checks of arguments, for the addon gets plain values. They throw TypeErrors.

function checkId(id, what) {
  if (!Number.isSafeInteger(id) || id < 0) throw new TypeError(`${what} is not an id: ${id}`);
}

function checkText(text, what) {
  if (typeof text !== 'string') throw new TypeError(`${what} must be a string, not ${text}`);
}

module.exports = { checkId, checkText };
