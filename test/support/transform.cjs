// Jest runs everything as CommonJS (its native ESM mode cannot load some of our dependencies), so this turns ES modules,
// ours and those of node_modules alike, into CommonJS, and leaves what is CommonJS already alone.
const { createHash } = require('node:crypto');
const { existsSync, readFileSync } = require('node:fs');
const { dirname, join } = require('node:path');
const { createTransformer } = require('@swc/jest');

const root = join(__dirname, '../..');
const swcrc = JSON.parse(readFileSync(join(root, '.swcrc'), 'utf8'));
const shared = { sourceMaps: 'inline', swcrc: false, configFile: false, module: { type: 'commonjs' } };
const tsx = { ...swcrc.jsc, parser: { ...swcrc.jsc.parser, tsx: true } };
const typescript = createTransformer({ ...shared, jsc: swcrc.jsc });
const react = createTransformer({ ...shared, jsc: tsx });
const javascript = createTransformer({
  ...shared,
  jsc: { target: 'es2023', parser: { syntax: 'ecmascript' }, keepClassNames: true },
});

const moduleFolders = new Map();
/** Whether the nearest package.json says `"type": "module"`. */
function isModuleFolder(folder) {
  let answer = moduleFolders.get(folder);
  if (answer === undefined) {
    const file = join(folder, 'package.json');
    if (existsSync(file)) answer = JSON.parse(readFileSync(file, 'utf8')).type === 'module';
    else answer = dirname(folder) !== folder && isModuleFolder(dirname(folder));
    moduleFolders.set(folder, answer);
  }
  return answer;
}

function transformerOf(source, path) {
  if (/\.[cm]?ts$/.test(path)) return typescript;
  if (path.endsWith('.tsx')) return react;
  // import() in a CommonJS file would need the native ESM mode as well.
  if (path.endsWith('.mjs') || /\bimport\(/.test(source)) return javascript;
  return !path.endsWith('.cjs') && isModuleFolder(dirname(path)) ? javascript : null;
}

const version = createHash('sha256')
  .update(readFileSync(__filename))
  .update(JSON.stringify(swcrc))
  .update(require('@swc/core').version)
  .digest('hex');

module.exports = {
  getCacheKey: (source, path) =>
    createHash('sha256').update(version).update(path).update('\0').update(source).digest('hex'),
  process(source, path, options) {
    const transformer = transformerOf(source, path);
    if (!transformer) return { code: source };
    const { code } = transformer.process(source, path, options);
    // What TypeScript imports as './x.js' is './x.ts' here.
    return {
      code: transformer === javascript ? code : code.replace(/\brequire\("(\.{1,2}\/[^"]+)\.js"\)/g, 'require("$1")'),
    };
  },
};
