import { InvalidInput } from '../../common/errors/index.js';

/** 3 to 30 letters, digits, `_`, `.` and `-`, the first and last of them a letter or digit, no two of the others in a row. */
const HANDLE = /^(?=.{3,30}$)[a-z0-9]+(?:[_.-][a-z0-9]+)*$/i;

/** Words that addresses of this server use, or that would pass for whoever runs it. */
const RESERVED = new Set(
  `about account admin administrator api app assets auth channel channels everyone explore feed graphql healthz help
  here home livez login logout me media metrics moderator new node null official owner playlist playlists readyz
  register root search security settings setup signin signout signup sluice staff static storage studio subscriptions
  support system tus undefined upload uploads user users video videos watch webhooks www`.split(/\s+/),
);

const RESERVED_LOOKS = new Set([...RESERVED].map(handleLook));

/**
 * Checks the name in a channel's address; its case is kept for show and means nothing.
 * @throws InvalidInput on `handle`; code HANDLE_RESERVED for a word that nobody may have
 */
export function checkHandle(handle: string): void {
  if (!HANDLE.test(handle)) {
    throw new InvalidInput(
      'handle must have 3 to 30 characters: letters a to z and digits, with single _ . - between them.',
      ['handle'],
    );
  }
  if (RESERVED_LOOKS.has(handleLook(handle).replaceAll('-', ''))) {
    throw new InvalidInput('This handle is reserved. Choose another one.', ['handle'], 'HANDLE_RESERVED');
  }
}

/** Whether a channel can have it: to be asked before it is looked for, since anybody may send texts of any length. */
export const isHandle = (text: string): boolean => HANDLE.test(text);

/** What makes two handles the same. Takes anything, also what is no handle. */
export function handleKey(handle: string): string {
  return handle.toLowerCase();
}

/**
 * What two handles share that can be taken for each other, after the prototypes of UTS #39: `PayPaI` and `paypal`, `g00gle`
 * and `google`, `rnark` and `mark`. It is not for show. The migration that brought it says the same in SQL.
 */
export function handleLook(handle: string): string {
  return handleKey(handle)
    .replace(/[1i]/g, 'l')
    .replaceAll('0', 'o')
    .replace(/[_.]/g, '-')
    .replaceAll('m', 'rn')
    .replaceAll('w', 'vv');
}
