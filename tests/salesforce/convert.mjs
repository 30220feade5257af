// Reads a project as the Salesforce CLI does, writes it in metadata format, and prints what it found.
//
//   node convert.mjs PACKAGE_DIRECTORY OUTPUT_DIRECTORY
//
// It runs in the folder of its packages, which are not beside it.
import { createRequire } from 'node:module';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

const require = createRequire(join(process.cwd(), 'package.json'));
const { ComponentSet, MetadataConverter } = require('@salesforce/source-deploy-retrieve');

const [source, output] = process.argv.slice(2);
const components = ComponentSet.fromSource(source);
components.sourceApiVersion = '66.0';
await new MetadataConverter().convert(components, 'metadata', {
  type: 'directory',
  outputDirectory: output,
  genUniqueDir: false,
});

const found = components.getSourceComponents().toArray();
console.log(
  JSON.stringify({
    components: found.map((component) => `${component.type.name}:${component.fullName}`).sort(),
    manifest: await components.getPackageXml(),
    files: readdirSync(output, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(output.length + 1))
      .sort(),
  }),
);
