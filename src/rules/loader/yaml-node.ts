import { MappedText } from './source.ts';
import type { Place } from './source.ts';
import type { Piece } from './yaml-scalars.ts';

/** A YAML value with its place: all that the loader knows of YAML. */
export type YamlNode = YamlScalar | YamlSequence | YamlMap;

export interface YamlScalar {
  readonly kind: 'scalar';
  /** As written, unquoted and unfolded; '' for null. */
  readonly text: string;
  readonly isNull: boolean;
  readonly place: Place;
  /** The text with the place of each character. */
  mapped(): MappedText;
}

export interface YamlSequence {
  readonly kind: 'sequence';
  readonly items: readonly YamlNode[];
  readonly place: Place;
}

export interface YamlEntry {
  readonly key: YamlScalar;
  readonly value: YamlNode;
}

export interface YamlMap {
  readonly kind: 'map';
  readonly entries: readonly YamlEntry[];
  readonly place: Place;
}

/** What is wrong with the YAML of a file. */
export class YamlError extends Error {
  override readonly name = 'YamlError';
  readonly place: Place;

  constructor(message: string, place: Place) {
    super(message);
    this.place = place;
  }
}

/** A scalar as it was read. */
export class Scalar implements YamlScalar {
  readonly kind = 'scalar';
  readonly text: string;
  readonly isNull: boolean;
  readonly place: Place;
  readonly #pieces: readonly Piece[];

  constructor(pieces: readonly Piece[], place: Place, isNull: boolean) {
    const [only] = pieces;
    this.text =
      pieces.length === 1 ? (only?.text ?? '') : pieces.map((piece) => piece.text).join('');
    this.isNull = isNull;
    this.place = place;
    this.#pieces = pieces;
  }

  mapped(): MappedText {
    const { place, text } = this;
    if (text === '') return MappedText.at('', place);
    const offsets = new Int32Array(text.length);
    let at = 0;
    for (const piece of this.#pieces) {
      for (let index = 0; index < piece.text.length; index++) {
        offsets[at] = piece.made ? piece.offset : piece.offset + index;
        at += 1;
      }
    }
    return MappedText.of(text, place.source, offsets);
  }
}
