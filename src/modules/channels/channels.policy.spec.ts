import { canManage, canUpload } from './channels.policy.js';

it.each([
  ['OWNER', true, true],
  ['EDITOR', true, true],
  ['VIEWER', false, false],
  [null, false, false],
] as const)('%s: manages %s, uploads %s', (role, manages, uploads) => {
  expect([canManage(role), canUpload(role)]).toEqual([manages, uploads]);
});
