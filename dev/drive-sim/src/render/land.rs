//! Mountains, dunes, woods and water.

use super::{
    canvas::{Canvas, Color, Field, HEIGHT, WIDTH, add, hex, mix, scale, smoothstep},
    noise::{Random, fbm1, fbm2, lattice, noise1, ridged1},
};

/// A line across the picture: the height of each column.
pub(super) type Line = Vec<f32>;

pub(super) fn line(f: impl Fn(f32) -> f32) -> Line {
    (0..WIDTH).map(|x| f(x as f32)).collect()
}

/// Ranges of mountains, the farther the paler, from `horizon` down to `foot`.
pub(super) fn ranges(
    canvas: &mut Canvas,
    random: &mut Random,
    (haze, dark): (Color, Color),
    (horizon, foot): (f32, f32),
    layers: usize,
) {
    for layer in 0..layers {
        let near = (layer + 1) as f32 / layers as f32;
        let seed = random.seed();
        let shift = random.range(0.0, 100.0);
        let base = horizon + (foot - horizon) * near.powf(1.35);
        let tall = (70.0 + 85.0 * near) * random.range(0.75, 1.35);
        let zoom = 2.6 + 1.4 * (1.0 - near);
        let line = line(|x| {
            let u = x / WIDTH as f32 * zoom + shift;
            base - tall * ridged1(u, seed, 6) + 0.3 * tall
        });
        let color = mix(haze, dark, near.powf(0.9));
        let depth = 120.0 + 90.0 * near;
        canvas.fill_below(&line, |y| {
            // Mist gathers in the valleys.
            let mist = smoothstep(0.0, 1.0, (y - base + tall * 0.6) / depth) * (1.0 - 0.6 * near);
            mix(color, haze, mist * 0.75)
        });
    }
}

/// Dunes: one side of each in the light.
pub(super) fn dunes(
    canvas: &mut Canvas,
    random: &mut Random,
    (lit, shaded, haze): (Color, Color, Color),
    horizon: f32,
) {
    const LAYERS: usize = 6;
    for layer in 0..LAYERS {
        let near = (layer + 1) as f32 / LAYERS as f32;
        let seed = random.seed();
        let base = horizon + (HEIGHT as f32 - horizon) * near.powf(1.5) * 0.92;
        let peak = random.range(0.08, 0.92) * WIDTH as f32;
        let tall = (34.0 + 150.0 * near) * random.range(0.7, 1.1);
        let (left, right) = (random.range(200.0, 420.0), random.range(150.0, 330.0));
        let line = line(|x| {
            let reach = if x < peak { left } else { right } * (0.55 + 0.75 * near);
            let t = (x - peak).abs() / reach;
            let crest = 1.0 / (1.0 + 1.6 * t * t.sqrt());
            base - tall * crest + 10.0 * near * fbm1(x / 130.0, seed, 2)
        });
        let far = (1.0 - near) * 0.7;
        let (lit, shaded) = (mix(lit, haze, far), mix(shaded, haze, far));
        let top = line.iter().fold(f32::MAX, |top, y| top.min(*y)).max(0.0) as usize;
        let sway = random.range(-0.9, 0.9);
        for y in top..HEIGHT {
            let depth = y as f32 - (base - tall);
            let spine = peak + sway * depth + depth * 0.9 * (fbm1(depth / 150.0, seed, 2) - 0.5);
            let soft = 0.22 / (1.5 + depth * 0.06);
            let fall = (depth / (tall * 2.2)).min(1.0);
            let wave = depth * 0.5 / (0.35 + near);
            let (lit, shaded) = (
                mix(lit, scale(lit, 0.72), fall),
                mix(shaded, mix(shaded, lit, 0.35), fall),
            );
            for (x, pixel) in canvas.row(y).iter_mut().enumerate() {
                let cover = y as f32 - line[x] + 0.5;
                if cover <= 0.0 {
                    continue;
                }
                let x = x as f32;
                let side = (0.5 + (x - spine) * soft).clamp(0.0, 1.0);
                let mut color = mix(lit, shaded, side);
                if near > 0.6 {
                    // Ripples of the wind, as a triangle wave that follows the slope.
                    let phase = wave + x * 0.045 + 3.0 * line[x as usize] * 0.02;
                    let ripple = (phase - phase.floor() - 0.5).abs() - 0.25;
                    color = scale(color, 1.0 + ripple * 0.16 * (near - 0.4));
                }
                *pixel = if cover >= 1.0 {
                    color
                } else {
                    mix(*pixel, color, cover)
                };
            }
        }
    }
}

/// The tops of conifers along a ground line.
pub(super) fn trees(random: &mut Random, ground: &Line, (low, high): (f32, f32), gap: f32) -> Line {
    let mut tops = ground.clone();
    let seed = random.seed();
    let mut x = -30.0;
    while x < WIDTH as f32 + 30.0 {
        let stand = 0.35 + 0.9 * noise1(x / 90.0, seed);
        let tall = random.range(low, high) * stand;
        let wide = tall * random.range(0.17, 0.26);
        let foot = ground[(x.max(0.0) as usize).min(WIDTH - 1)];
        let first = (x - wide).max(0.0) as usize;
        let width = ((x + wide).max(0.0) as usize).saturating_sub(first);
        for (column, line) in tops.iter_mut().enumerate().skip(first).take(width) {
            let away = (column as f32 - x).abs() / wide;
            // Boughs: the outline goes out and in.
            let bough = 0.82 + 0.3 * lattice(column as i32, x as i32, seed);
            let top = foot - tall * (1.0 - away) * if away < 0.12 { 1.0 } else { bough };
            *line = line.min(top);
        }
        x += gap * random.range(0.4, 1.6);
    }
    tops
}

/// Woods in fog: rows of trees, each darker than the one behind.
pub(super) fn woods(
    canvas: &mut Canvas,
    random: &mut Random,
    (fog, dark): (Color, Color),
    horizon: f32,
) {
    const LAYERS: usize = 6;
    for layer in 0..LAYERS {
        let near = layer as f32 / (LAYERS - 1) as f32;
        let (seed, shift) = (random.seed(), random.range(0.0, 50.0));
        let base = horizon + 40.0 + (HEIGHT as f32 - horizon) * near * 0.85;
        let hills = 90.0 + 60.0 * near;
        let ground = line(|x| base - hills * (fbm1(x / 330.0 + shift, seed, 3) - 0.3));
        let tall = 22.0 + 150.0 * near * near;
        let tops = trees(random, &ground, (tall * 0.6, tall * 1.25), tall * 0.2 + 3.0);
        let color = mix(fog, dark, 0.16 + 0.84 * near.powf(1.2));
        canvas.fill_below(&tops, |y| {
            let sunk = smoothstep(base - tall * 0.7, base + 110.0, y) * (1.0 - 0.75 * near);
            mix(color, fog, sunk)
        });
    }
}

/// Water below the horizon: what is above it, upside down, broken by waves. `calm` is 0 to 1.
pub(super) fn water(
    canvas: &mut Canvas,
    random: &mut Random,
    horizon: usize,
    tint: Color,
    calm: f32,
    sun: Option<(f32, Color)>,
) {
    let seed = random.seed();
    let depth = (HEIGHT - horizon) as f32;
    let waves = Field::new(3, horizon, HEIGHT, |x, y| {
        let near = (y - horizon as f32) / depth + 0.035;
        let u = (x / WIDTH as f32 - 0.5) / near;
        fbm2(u * 7.0 + 40.0, 5.5 / near, seed, 3) - 0.5
    });
    let rough = 1.0 - calm;
    let mut row = [0.0; WIDTH];
    let mut mirror = vec![[0.0; 3]; WIDTH];
    for y in horizon..HEIGHT {
        let below = (y - horizon) as f32;
        let near = below / depth;
        waves.row(y - horizon, &mut row);
        for (x, color) in mirror.iter_mut().enumerate() {
            let wave = row[x];
            let lift = wave * (6.0 + 110.0 * near) * (0.12 + 0.8 * rough);
            let up = (below * 0.94 + 1.0 + lift).clamp(1.0, horizon as f32) as usize;
            let aside = (x as f32 + wave * 34.0 * near).clamp(0.0, (WIDTH - 1) as f32) as usize;
            let seen = canvas.get(aside, horizon - up);
            let mut mixed = mix(seen, tint, 0.12 + 0.34 * near + rough * 0.28 * wave.abs());
            if let Some((sun, light)) = sun {
                let spread = 16.0 + 150.0 * near;
                let lane = 1.0 / (1.0 + ((x as f32 - sun) / spread).powi(2));
                let glint = (wave * 9.0 - 0.25).clamp(0.0, 1.0);
                mixed = add(mixed, scale(light, lane * lane * (0.1 + 0.85 * glint)));
            }
            *color = mixed;
        }
        canvas.row(y).copy_from_slice(&mirror);
    }
}

/// Houses of a city against the sky, with lights in their windows.
pub(super) fn skyline(canvas: &mut Canvas, random: &mut Random, ground: usize, far: Color) {
    const LAMPS: [u32; 4] = [0xffd98a, 0xffe8bd, 0xffb45e, 0xcfe4ff];
    for layer in 0..3 {
        let near = layer as f32 / 2.0;
        let wall = mix(far, hex(0x0a0d18), 0.35 + 0.6 * near);
        let mut x = -20.0_f32;
        while x < WIDTH as f32 {
            let wide = random.range(26.0, 74.0) * (0.7 + 0.4 * near);
            let downtown = 1.0 / (1.0 + ((x - 400.0) / 210.0).powi(2));
            let tall = random.range(40.0, 130.0) + downtown * random.range(30.0, 240.0);
            let tall = tall * (1.15 - 0.42 * near);
            let top = (ground as f32 - tall).max(20.0) as usize;
            let (left, right) = (x.max(0.0) as usize, ((x + wide) as usize).min(WIDTH));
            for y in top..ground {
                let shade = scale(wall, 1.0 + 0.25 * (ground - y) as f32 / tall);
                canvas.row(y)[left..right].fill(shade);
            }
            if random.chance(0.25) && right > left {
                let mast = (left + right) / 2;
                for y in top.saturating_sub(28)..top {
                    canvas.row(y)[mast] = wall;
                }
            }
            let lamp = hex(random.pick(&LAMPS));
            let busy = random.range(0.12, 0.55) * (0.5 + 0.5 * near);
            for y in (top + 6..ground.saturating_sub(4)).step_by(7) {
                for column in (left + 4..right.saturating_sub(4)).step_by(6) {
                    if random.chance(busy) {
                        let light = scale(lamp, random.range(0.35, 0.95) * (0.6 + 0.4 * near));
                        for row in y..y + 3 {
                            canvas.row(row)[column..column + 3].fill(light);
                        }
                    }
                }
            }
            x += wide + random.range(-8.0, 6.0);
        }
    }
}

/// A hot-air balloon.
pub(super) fn balloon(canvas: &mut Canvas, random: &mut Random, x: f32, y: f32, radius: f32) {
    const SILKS: &[[u32; 3]] = &[
        [0xc8323c, 0xf4d35e, 0xf7f3e3],
        [0x1d4e89, 0xf79256, 0xfbd1a2],
        [0x6a4c93, 0xff595e, 0xffca3a],
        [0x0f7173, 0xf05d5e, 0xe7ecef],
        [0x272932, 0xd8315b, 0xfffaff],
    ];
    let silk = random.pick(SILKS).map(hex);
    let stripes = random.range(5.0, 9.0).floor();
    let banded = random.chance(0.4);
    canvas.shape((x, y), (radius + 1.0, radius * 1.9), |dx, dy| {
        let (u, v) = (dx / radius, dy / radius);
        // Round above, drawn together below.
        let wide = if v < 0.0 {
            1.0 - v * v
        } else {
            (1.0 - (v / 1.32).powi(2)).powi(2)
        };
        let half = wide.max(0.0).sqrt();
        let cover = ((half - u.abs()) * radius).min((1.22 - v) * radius);
        if cover > 0.0 {
            let around = (u / half.max(0.05)).clamp(-1.0, 1.0).asin();
            let stripe = if banded {
                v * 3.0 + 6.0
            } else {
                around * stripes / 2.0 + 20.0
            };
            let color = silk[stripe as usize % 3];
            let light = 0.62 + 0.42 * (-(u + 0.35).powi(2) - (v + 0.4).powi(2) * 0.5).exp();
            return (scale(color, light), cover);
        }
        let basket = u.abs() < 0.13 && (1.5..1.72).contains(&v);
        let rope = (1.2..1.5).contains(&v) && (u.abs() - 0.12).abs() * radius < 0.5;
        (hex(0x3a2517), if basket || rope { 0.9 } else { 0.0 })
    });
}
