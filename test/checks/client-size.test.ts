import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import ts from 'typescript';

/** What a module imports, or passes on; not what its words only speak of. */
function importsOf(source: string): string[] {
  const found: string[] = [];
  const look = (node: ts.Node) => {
    const passesOn = ts.isExportDeclaration(node) && node.moduleSpecifier;
    if (ts.isImportDeclaration(node) || passesOn) found.push(node.getText());
    // Of a call: what is imported in mid-run.
    else if (node.kind === ts.SyntaxKind.ImportKeyword) found.push(node.parent.getText());
    ts.forEachChild(node, look);
  };
  look(ts.createSourceFile('module.js', source, ts.ScriptTarget.Latest, true));
  return found;
}

test.each([
  ['sluice.js', 'hashing and all', 15_000],
  // What listens and what searches stand on one Api: whoever bundles it takes what they import.
  ['api.js', 'its sockets, lists, operations, views and all', 11_000],
])('%s, for browsers, %s, is small', (name, _what, most) => {
  const source = readFileSync(join(import.meta.dirname, '../../client/dist/browser', name), 'utf8');
  const bytes = gzipSync(source, { level: 9 }).length;
  process.stderr.write(`client/dist/browser/${name}: ${bytes} bytes gzipped, of ${most} at most.\n`);
  expect(bytes).toBeLessThanOrEqual(most);
  // It is one file, and loads nothing from anywhere.
  expect(importsOf(source)).toEqual([]);
});

test('what is loaded from elsewhere is noticed', () => {
  const source = `import a from './a.js'; export * from './b.js'; const c = await import('./c.js'); export { a, c };
    throw new Error("import d from 'd'" + import.meta.url);`;
  expect(importsOf(source)).toEqual([`import a from './a.js';`, `export * from './b.js';`, `import('./c.js')`]);
});
