//! Flowers, lights out of focus, marbled paper and fractals.

use std::f32::consts::{PI, TAU};

use super::{
    canvas::{Canvas, Color, Field, HEIGHT, WIDTH, add, hex, mix, palette, scale, smoothstep},
    noise::{Random, fbm2, lattice},
};

/// Lights far out of focus.
pub(super) fn bokeh(canvas: &mut Canvas, random: &mut Random, hues: &[u32], count: usize) {
    for _ in 0..count {
        let radius = random.range(8.0, 58.0);
        let (x, y) = (
            random.range(0.0, WIDTH as f32),
            random.range(0.0, HEIGHT as f32),
        );
        let color = hex(random.pick(hues));
        let strength = random.range(0.06, 0.34) * (1.25 - radius / 70.0);
        canvas.shape((x, y), (radius, radius), |dx, dy| {
            let t = (dx * dx + dy * dy).sqrt() / radius;
            // A lens draws such discs brighter at the rim.
            let cover = smoothstep(1.0, 0.93, t) * (0.55 + 0.45 * t * t * t);
            (add(color, [0.06; 3]), cover * strength)
        });
    }
}

/// A blossom's petals from their root to their tip, the ground around it, and its middle.
#[derive(Clone, Copy)]
pub(super) struct Bloom {
    petals: &'static [u32],
    ground: &'static [u32],
    middle: u32,
}

#[rustfmt::skip]
pub(super) const BLOOMS: &[Bloom] = &[
    Bloom { petals: &[0x7a0f3a, 0xd12b6a, 0xff7fa8, 0xffc4d6], ground: &[0x14361f, 0x2f6b3a, 0x7fae5a], middle: 0xf3c13a },
    Bloom { petals: &[0xc05a00, 0xf59b1d, 0xffc94a, 0xffe9a3], ground: &[0x1c2e14, 0x4c6b23, 0xa3b04a], middle: 0x5a2f12 },
    Bloom { petals: &[0xc9cfdf, 0xf2f3f8, 0xffffff, 0xffffff], ground: &[0x17402c, 0x3f7d4c, 0x9cc47a], middle: 0xf5c518 },
    Bloom { petals: &[0x2a1d6b, 0x5a45c9, 0x9a8cf5, 0xd9d2ff], ground: &[0x10302f, 0x2c6560, 0x86b59a], middle: 0xf7d75c },
    Bloom { petals: &[0x6b0012, 0xc1121f, 0xef3b36, 0xff8a70], ground: &[0x0f2417, 0x33552c, 0x8a9a4c], middle: 0x2b1520 },
    Bloom { petals: &[0x9c3d6e, 0xe88fb4, 0xffd1dc, 0xfff4f2], ground: &[0x3d4f5c, 0x7f9aa5, 0xd3dccf], middle: 0xe8b23a },
    Bloom { petals: &[0x074f57, 0x0f8b8d, 0x74c6c2, 0xe4f7f1], ground: &[0x2c1a2e, 0x5c3a56, 0xb98aa0], middle: 0xf2a65a },
];

/// One blossom before a blurred garden.
pub(super) fn flower(canvas: &mut Canvas, random: &mut Random) {
    let bloom = random.pick(BLOOMS);
    canvas.backdrop(0, HEIGHT, bloom.ground);
    bokeh(
        canvas,
        random,
        &[bloom.ground[2], bloom.petals[2], 0xfff6d5],
        34,
    );
    let (cx, cy) = (random.range(300.0, 500.0), random.range(250.0, 340.0));
    let radius = random.range(190.0, 265.0);
    let count = random.range(6.0, 15.0).floor();
    let rings = random.range(2.0, 5.0) as usize;
    let (pointed, turn, seed) = (
        random.range(0.35, 1.1),
        random.range(0.0, TAU),
        random.seed(),
    );
    let colors = palette(bloom.petals);
    let heart = radius * random.range(0.16, 0.27);
    let middle = hex(bloom.middle);
    canvas.shape((cx, cy), (radius * 1.03, radius * 1.03), |dx, dy| {
        let r = (dx * dx + dy * dy).sqrt();
        if r < heart {
            return (heart_of(dx, dy, r / heart, middle, seed), heart - r);
        }
        let angle = dy.atan2(dx) + turn;
        // The innermost ring of petals lies on top.
        for ring in 0..rings {
            let reach = radius * (1.0 - 0.62 * (rings - 1 - ring) as f32 / rings as f32);
            if r > reach {
                continue;
            }
            let petal = angle / TAU * count + ring as f32 * 0.5;
            let number = petal.floor();
            let across = (petal - number - 0.5).abs() * 2.0;
            let own = lattice(number.rem_euclid(count) as i32, ring as i32, seed);
            let edge = reach * (0.86 + 0.14 * own) * (1.0 - across.powf(1.0 / pointed + 0.6));
            let t = r / edge.max(1.0);
            if t < 1.0 {
                let vein = 1.0 + 0.05 * (across * 40.0 + own * 9.0).sin() * t;
                let fold = 1.0 - 0.4 * across * across - 0.2 * (1.0 - t).powi(3);
                let depth = 0.74 + 0.26 * (rings - ring) as f32 / rings as f32;
                let place = ((r / reach) * 0.85 + own * 0.15).clamp(0.0, 1.0);
                let color = colors[(place * 511.0) as usize];
                return (scale(color, vein * fold * depth), (edge - r) * 0.8);
            }
        }
        ([0.0; 3], 0.0)
    });
}

/// Florets in the spiral that sunflowers make.
fn heart_of(dx: f32, dy: f32, t: f32, color: Color, seed: u32) -> Color {
    let grain = lattice((dx * 0.42) as i32 + 500, (dy * 0.42) as i32 + 500, seed);
    let spiral = (dy.atan2(dx) * 13.0 + t * 26.0).sin() * (dy.atan2(dx) * 8.0 - t * 22.0).sin();
    scale(
        color,
        (0.62 + 0.3 * t + 0.16 * spiral + 0.16 * grain) * (1.0 - 0.35 * t.powi(6)),
    )
}

#[rustfmt::skip]
const INKS: &[&[u32]] = &[
    &[0x0b132b, 0x1c4e80, 0x57b8d9, 0xf6f3e4, 0xe8a33d, 0x8c2f39, 0x2b0f1e],
    &[0x10002b, 0x5a189a, 0xc77dff, 0xffd6ff, 0xff9e6d, 0xc9184a, 0x370617],
    &[0x012a36, 0x1b7f79, 0x9be8c5, 0xfdf6d8, 0xf2b880, 0xc2506b, 0x3a1a3f],
    &[0x1a1a1d, 0x4e4e50, 0xc3b8a5, 0xf7f0e3, 0xd4a24c, 0x7a4a1d, 0x23160d],
    &[0x03071e, 0x6a040f, 0xd00000, 0xf48c06, 0xffba08, 0xfff3c4, 0x6a040f],
    &[0x0d3b2e, 0x2d6a4f, 0x74c69d, 0xd8f3dc, 0xf9dcc4, 0xf08080, 0x602437],
];

/// Paint folded into itself, with lines of gold.
pub(super) fn marble(canvas: &mut Canvas, random: &mut Random) {
    let (seed, zoom) = (random.seed(), random.range(1.0, 2.2));
    let (fold, turns) = (random.range(1.6, 3.6), random.range(1.4, 3.0));
    let paint = Field::new(5, 0, HEIGHT, |x, y| {
        let (u, v) = (x / 600.0 * zoom, y / 600.0 * zoom);
        let a = fbm2(u, v, seed, 3);
        let b = fbm2(u + 5.2, v + 1.3, seed ^ 5, 3);
        fbm2(u + fold * a, v + fold * b, seed ^ 9, 4)
    });
    let colors = palette(random.pick(INKS));
    let gold = hex(random.pick(&[0xf6d98b, 0xfff4d6, 0xe9b872]));
    let gilded = random.chance(0.6);
    let mut row = [0.0; WIDTH];
    for y in 0..HEIGHT {
        paint.row(y, &mut row);
        for (pixel, value) in canvas.row(y).iter_mut().zip(&row) {
            let value = ((value - 0.5) * 1.7 + 0.5).max(0.0) * turns;
            let t = value - (value as i32) as f32;
            // There and back again, lest the colours jump.
            let t = 1.0 - (2.0 * t - 1.0).abs();
            let mut color = colors[(t * 511.0) as usize & 511];
            if gilded {
                let layer = value * 7.0;
                let line = (layer - (layer as i32) as f32 - 0.5).abs() * 2.0;
                if line > 0.93 {
                    color = mix(color, gold, (line - 0.93) * 9.0);
                }
            }
            *pixel = color;
        }
    }
}

/// A Julia set, coloured by how fast points escape.
pub(super) fn julia(canvas: &mut Canvas, random: &mut Random) {
    // Each of these lies just off the Mandelbrot set, where Julia sets are richest.
    #[rustfmt::skip]
    const SEEDS: &[(f32, f32)] = &[
        (-0.7269, 0.1889), (-0.8, 0.156), (0.285, 0.01), (-0.4, 0.6), (-0.835, -0.2321),
        (0.45, 0.1428), (-0.7018, -0.3842), (-0.038, 0.9755), (0.0, 0.8), (0.355, 0.58),
    ];
    const STEPS: u32 = 64;
    let (a, b) = random.pick(SEEDS);
    let (a, b) = (
        a + random.range(-0.003, 0.003),
        b + random.range(-0.003, 0.003),
    );
    let zoom = random.range(0.0026, 0.0036);
    let (sin, cos) = random.range(0.0, PI).sin_cos();
    let colors = palette(random.pick(INKS));
    let cycle = random.range(9.0, 20.0);
    let shade = |x: f32, y: f32| {
        let (x, y) = (x * zoom, y * zoom);
        let (mut x, mut y) = (x * cos - y * sin, x * sin + y * cos);
        for step in 0..STEPS {
            let (xx, yy) = (x * x, y * y);
            if xx + yy > 64.0 {
                let smooth = step as f32 + 1.0 - ((xx + yy).ln() * 0.24).log2();
                let t = (smooth.max(0.0) / cycle + 0.06).fract();
                let t = 1.0 - (2.0 * t - 1.0).abs();
                return colors[(t * 511.0) as usize & 511];
            }
            (x, y) = (xx - yy + a, 2.0 * x * y + b);
        }
        scale(colors[511], 0.35 * (x * x + y * y).min(1.0))
    };
    // Turned by half a circle, a Julia set looks the same: half of the work is enough.
    let mut upper = vec![[0.0; 3]; WIDTH];
    for y in 0..HEIGHT / 2 {
        for (x, color) in upper.iter_mut().enumerate() {
            *color = shade(x as f32 - 399.5, y as f32 - 299.5);
        }
        canvas.row(y).copy_from_slice(&upper);
        upper.reverse();
        canvas.row(HEIGHT - 1 - y).copy_from_slice(&upper);
    }
}
