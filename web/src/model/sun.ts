// Where the Sun stands, for day and night.

/**
 * Direction to the Sun in the frame that turns with the Earth, as a unit vector.
 * The low-precision formulae of the Astronomical Almanac (section C, "Low precision
 * formulas for the Sun"), right to 0.01° between 1950 and 2050, with Greenwich mean
 * sidereal time to the first order. Time in milliseconds since 1970, UTC for UT1.
 */
export function sunDirection(time: number): [number, number, number] {
  const rad = Math.PI / 180;
  const n = time / 86_400_000 - 10_957.5; // days since J2000.0
  const L = (280.46 + 0.9856474 * n) * rad;
  const g = (357.528 + 0.9856003 * n) * rad;
  const lambda = L + (1.915 * Math.sin(g) + 0.02 * Math.sin(2 * g)) * rad;
  const epsilon = (23.439 - 4e-7 * n) * rad;
  const x = Math.cos(lambda);
  const y = Math.cos(epsilon) * Math.sin(lambda);
  const z = Math.sin(epsilon) * Math.sin(lambda);
  const theta = (280.46061837 + 360.98564736629 * n) * rad;
  const [c, s] = [Math.cos(theta), Math.sin(theta)];
  return [c * x + s * y, c * y - s * x, z];
}
