/**
 * The name that was probably meant.
 *
 * @module
 */

/** Of the candidates, the one that begins with the word, or else is the most like it. Loads the comparison when needed. */
export async function nearest(word: string, candidates: string[]): Promise<string> {
  const beginning = candidates.find((candidate) => candidate.startsWith(word));
  if (beginning !== undefined) return beginning;
  // Two letters in the wrong order are the commonest slip, which a distance between texts counts as two.
  const letters = (text: string) => [...text].sort().join("");
  const mixed = candidates.find((candidate) => letters(candidate) === letters(word));
  if (mixed !== undefined) return mixed;
  const { closestString } = await import("@std/text/closest-string");
  return closestString(word, candidates) ?? candidates[0]!;
}
