//! Value noise and a small generator of random numbers.

use crate::hash::{mix, unit};

/// Deterministic random numbers.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    pub(super) fn seed(&mut self) -> u32 {
        self.next() as u32
    }

    /// From `low` up to `high`.
    pub(super) fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * unit(self.next()) as f32
    }

    pub(super) fn chance(&mut self, probability: f32) -> bool {
        self.range(0.0, 1.0) < probability
    }

    pub(super) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[(self.next() % choices.len() as u64) as usize]
    }
}

#[inline(always)]
pub(super) fn lattice(x: i32, y: i32, seed: u32) -> f32 {
    let mut h = (x as u32).wrapping_mul(0x9e37_79b1)
        ^ (y as u32).wrapping_mul(0x85eb_ca77)
        ^ seed.wrapping_mul(0xc2b2_ae3d);
    h = (h ^ (h >> 15)).wrapping_mul(0x2c1b_3c6d);
    h = (h ^ (h >> 12)).wrapping_mul(0x297a_2d39);
    ((h ^ (h >> 15)) >> 8) as f32 * (1.0 / 16_777_216.0)
}

#[inline(always)]
fn fade(t: f32) -> f32 {
    t * t * (3.0 - 2.0 * t)
}

/// The integer below, cheaper than `floor` where there is no instruction for it.
#[inline(always)]
fn below(x: f32) -> i32 {
    let whole = x as i32;
    whole - i32::from(x < whole as f32)
}

/// Smooth noise along a line, 0 to 1.
#[inline(always)]
pub(super) fn noise1(x: f32, seed: u32) -> f32 {
    let cell = below(x);
    let t = fade(x - cell as f32);
    let (a, b) = (lattice(cell, 0, seed), lattice(cell + 1, 0, seed));
    a + (b - a) * t
}

/// Smooth noise in a plane, 0 to 1.
#[inline(always)]
pub(super) fn noise2(x: f32, y: f32, seed: u32) -> f32 {
    let (i, j) = (below(x), below(y));
    let (s, t) = (fade(x - i as f32), fade(y - j as f32));
    let (a, b) = (lattice(i, j, seed), lattice(i + 1, j, seed));
    let (c, d) = (lattice(i, j + 1, seed), lattice(i + 1, j + 1, seed));
    let (top, bottom) = (a + (b - a) * s, c + (d - c) * s);
    top + (bottom - top) * t
}

/// Several octaves of [`noise1`], about 0 to 1.
pub(super) fn fbm1(mut x: f32, seed: u32, octaves: u32) -> f32 {
    let (mut sum, mut weight, mut total) = (0.0, 1.0, 0.0);
    for octave in 0..octaves {
        sum += weight * noise1(x, seed.wrapping_add(octave));
        total += weight;
        weight *= 0.5;
        x *= 2.03;
    }
    sum / total
}

/// Several octaves of [`noise2`], about 0 to 1.
pub(super) fn fbm2(mut x: f32, mut y: f32, seed: u32, octaves: u32) -> f32 {
    let (mut sum, mut weight, mut total) = (0.0, 1.0, 0.0);
    for octave in 0..octaves {
        sum += weight * noise2(x, y, seed.wrapping_add(octave));
        total += weight;
        weight *= 0.5;
        // Turned a little, so that the lattices of octaves do not line up.
        (x, y) = (1.63 * x + 1.21 * y, 1.63 * y - 1.21 * x);
    }
    sum / total
}

/// Octaves folded at their middle: sharp crests, as mountains have.
pub(super) fn ridged1(mut x: f32, seed: u32, octaves: u32) -> f32 {
    let (mut sum, mut weight, mut total) = (0.0, 1.0, 0.0);
    for octave in 0..octaves {
        let fold = 1.0 - (2.0 * noise1(x, seed.wrapping_add(octave)) - 1.0).abs();
        sum += weight * fold * fold.sqrt();
        total += weight;
        weight *= 0.45;
        x *= 2.13;
    }
    sum / total
}
