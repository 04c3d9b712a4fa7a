//! Skies: clouds, the sun, stars, the Milky Way, auroras.

use super::{
    canvas::{Canvas, Color, Field, HEIGHT, WIDTH, add, hex, mix, scale, smoothstep},
    noise::{Random, fbm1, fbm2},
};

/// A sky's colours from the zenith to the horizon, its clouds' in light and in shade, its sun's.
pub(super) struct Mood {
    pub(super) sky: &'static [u32],
    pub(super) cloud: [u32; 2],
    pub(super) sun: u32,
}

pub(super) const DAWN: Mood = Mood {
    sky: &[0x27406b, 0x5b6f9c, 0xb59bb0, 0xf2bd9d, 0xffe3b8],
    cloud: [0xffd9b8, 0x8a7b9c],
    sun: 0xfff1cf,
};
pub(super) const SUNSET: Mood = Mood {
    sky: &[0x1d2350, 0x4b3473, 0xa8486f, 0xf07b4d, 0xffc65c],
    cloud: [0xff9a62, 0x5a2e5e],
    sun: 0xffe9a8,
};
pub(super) const EMBER: Mood = Mood {
    sky: &[0x2a1633, 0x6b1f3f, 0xb9353a, 0xee6a2c, 0xffb347],
    cloud: [0xff7c3e, 0x45193a],
    sun: 0xffdf8c,
};
pub(super) const ROSE: Mood = Mood {
    sky: &[0x3b4a7e, 0x7d74ad, 0xc991b6, 0xf5b5b8, 0xffdccb],
    cloud: [0xffd5d6, 0x9179a6],
    sun: 0xfff3e2,
};
pub(super) const NOON: Mood = Mood {
    sky: &[0x1f5fae, 0x3f86cc, 0x79b3e2, 0xb3d7ee, 0xdfeef5],
    cloud: [0xffffff, 0xa9b8c8],
    sun: 0xffffff,
};
pub(super) const TEAL: Mood = Mood {
    sky: &[0x0f3a4f, 0x1f6475, 0x59989a, 0xb9cfae, 0xfbe6b4],
    cloud: [0xf7e3bd, 0x3f6c78],
    sun: 0xfff3c9,
};
pub(super) const STORM: Mood = Mood {
    sky: &[0x2b3440, 0x4b5866, 0x78858f, 0xa9b0ae, 0xd9d2bd],
    cloud: [0xc3c8c9, 0x39434e],
    sun: 0xf3ead2,
};
pub(super) const DUSK: Mood = Mood {
    sky: &[0x0b1437, 0x1d2c63, 0x4a4a8f, 0x9a6a9c, 0xe8a08a],
    cloud: [0xc98aa2, 0x232a5c],
    sun: 0xffd9b0,
};

pub(super) const DAYLIGHT: &[&Mood] = &[&DAWN, &SUNSET, &EMBER, &ROSE, &NOON, &TEAL, &STORM, &DUSK];
pub(super) const GOLDEN: &[&Mood] = &[&DAWN, &SUNSET, &EMBER, &ROSE, &TEAL, &DUSK];

/// A sky down to the horizon, with its sun. `cover` is how much of it clouds take, 0 to 1.
pub(super) fn sky(
    canvas: &mut Canvas,
    random: &mut Random,
    mood: &Mood,
    horizon: usize,
    sun: (f32, f32),
    cover: f32,
) {
    canvas.backdrop(0, horizon, mood.sky);
    let color = hex(mood.sun);
    canvas.glow(sun.0, sun.1, 190.0, scale(color, 0.38), horizon);
    let radius = random.range(15.0, 34.0);
    canvas.disc(sun.0, sun.1, radius, 3.0, add(color, [0.1; 3]));
    if cover > 0.02 {
        clouds(canvas, random, mood, horizon, sun, cover);
    }
}

/// A layer of clouds in perspective: they grow small towards the horizon.
fn clouds(
    canvas: &mut Canvas,
    random: &mut Random,
    mood: &Mood,
    horizon: usize,
    sun: (f32, f32),
    cover: f32,
) {
    let (seed, shift) = (random.seed(), random.range(0.0, 50.0));
    let stretch = random.range(0.8, 1.8);
    let density = Field::new(5, 0, horizon, |x, y| {
        let above = 0.16 + (horizon as f32 - y) / horizon as f32;
        let u = (x / WIDTH as f32 - 0.5) / above * 3.2 + shift;
        fbm2(u, stretch * 3.0 / above, seed, 5)
    });
    let threshold = 0.72 - 0.38 * cover;
    let (light, shade) = (hex(mood.cloud[0]), hex(mood.cloud[1]));
    let beside: Vec<f32> = (0..WIDTH)
        .map(|x| 1.0 + ((x as f32 - sun.0) / 210.0).powi(2))
        .collect();
    let mut row = [0.0; WIDTH];
    for y in 0..horizon {
        density.row(y, &mut row);
        let above = (horizon - y) as f32 / horizon as f32;
        // Haze swallows what is far away.
        let visible = smoothstep(0.0, 0.22, above) * 0.92;
        let near = 1.0 / (1.0 + ((y as f32 - sun.1) / 160.0).powi(2));
        for (x, pixel) in canvas.row(y).iter_mut().enumerate() {
            let thick = (row[x] - threshold) * 4.2;
            if thick <= 0.0 {
                continue;
            }
            let thick = thick.min(1.0);
            let glow = near / beside[x];
            // Thin edges let light through; the middle is in its own shade.
            let color = mix(light, shade, (thick * 1.15 - 0.35 * glow).clamp(0.0, 1.0));
            let color = add(color, scale(light, 0.35 * glow * (1.0 - thick)));
            *pixel = mix(*pixel, color, thick * thick.sqrt() * visible);
        }
    }
}

/// Stars above `bottom`; `dense` says where there are more of them, 0 to 1.
pub(super) fn stars(
    canvas: &mut Canvas,
    random: &mut Random,
    count: usize,
    bottom: usize,
    dense: impl Fn(f32, f32) -> f32,
) {
    const TINTS: [u32; 5] = [0xffffff, 0xcfdcff, 0xfff0d6, 0xffd9c2, 0xb9ccff];
    for _ in 0..count {
        let (x, y) = (
            random.range(0.0, WIDTH as f32),
            random.range(0.0, bottom as f32),
        );
        if !random.chance(dense(x, y)) {
            continue;
        }
        let bright = random.range(0.0, 1.0).powi(6);
        let color = scale(hex(random.pick(&TINTS)), 0.16 + 0.9 * bright);
        let (x, y) = (x as i32, y as i32);
        canvas.light(x, y, color);
        if bright > 0.35 {
            for (dx, dy) in [(1, 0), (-1, 0), (0, 1), (0, -1)] {
                canvas.light(x + dx, y + dy, scale(color, 0.45));
            }
        }
        if bright > 0.85 {
            for reach in 2..6 {
                let faint = scale(color, 0.22 / reach as f32);
                for (dx, dy) in [(reach, 0), (-reach, 0), (0, reach), (0, -reach)] {
                    canvas.light(x + dx, y + dy, faint);
                }
            }
        }
    }
}

/// The night's own colours, from the zenith to the horizon.
pub(super) const NIGHTS: &[&[u32]] = &[
    &[0x03050f, 0x070d22, 0x0f1c3f, 0x223a63, 0x4a5f80],
    &[0x05040f, 0x0e0a26, 0x1f1444, 0x43245f, 0x8a4a68],
    &[0x020a10, 0x05161f, 0x0b2b38, 0x18505a, 0x3d7f7c],
    &[0x04060d, 0x0a1020, 0x18223a, 0x3b3c52, 0x8a6a55],
];

/// The Milky Way across the sky above `bottom`.
pub(super) fn milky_way(canvas: &mut Canvas, random: &mut Random, bottom: usize) {
    let angle = random.range(0.5, 1.2) * if random.chance(0.5) { 1.0 } else { -1.0 };
    let (sin, cos) = angle.sin_cos();
    let middle = (random.range(260.0, 540.0), random.range(160.0, 300.0));
    let width = random.range(70.0, 120.0);
    let seed = random.seed();
    let place = |x: f32, y: f32| {
        let (dx, dy) = (x - middle.0, y - middle.1);
        (dx * cos + dy * sin, dy * cos - dx * sin)
    };
    let band = |x: f32, y: f32| {
        let (along, across) = place(x, y);
        let core = 1.0 + 0.7 / (1.0 + (along / 170.0).powi(2));
        (-(across / width / core.sqrt()).powi(2)).exp() * core
    };
    let light = Field::new(6, 0, bottom, |x, y| {
        let band = band(x, y);
        if band < 0.01 {
            return 0.0;
        }
        let (along, across) = place(x, y);
        let cloud = fbm2(along / 70.0, across / 45.0, seed, 4);
        let lane = fbm2(along / 90.0, across / 26.0, seed ^ 99, 4);
        let dust = smoothstep(0.47, 0.62, lane) * (-(across / width * 1.6).powi(2)).exp();
        band * (0.15 + 1.1 * cloud * cloud) * (1.0 - 0.85 * dust)
    });
    let (warm, cold) = (
        random.pick(&[0xffd7a8, 0xffc2b0]),
        random.pick(&[0x6f8fd6, 0x8a7fd0]),
    );
    let (warm, cold) = (hex(warm), hex(cold));
    let mut row = [0.0; WIDTH];
    for y in 0..bottom {
        light.row(y, &mut row);
        for (pixel, light) in canvas.row(y).iter_mut().zip(&row) {
            if *light > 0.004 {
                *pixel = add(*pixel, scale(mix(cold, warm, light.min(1.0)), light * 0.62));
            }
        }
    }
    stars(canvas, random, 9_000, bottom, |x, y| {
        0.12 + 0.8 * band(x, y).min(1.0)
    });
}

/// Curtains of northern lights above `bottom`.
pub(super) fn aurora(canvas: &mut Canvas, random: &mut Random, bottom: usize) {
    const HUES: &[[u32; 2]] = &[
        [0x3dff9a, 0x7a4dff],
        [0x57ffb0, 0x2f7bff],
        [0x9dff6a, 0xff4fa0],
        [0x4dffd2, 0xb04dff],
    ];
    let hue = random.pick(HUES);
    let (low, high) = (hex(hue[0]), hex(hue[1]));
    for _ in 0..3 {
        let seeds = [random.seed(), random.seed(), random.seed()];
        let base = bottom as f32 * random.range(0.5, 0.86);
        let tall = bottom as f32 * random.range(0.35, 0.6);
        let strength = random.range(0.35, 0.8);
        let slant = random.range(-0.25, 0.25);
        let foot: Vec<f32> = (0..WIDTH)
            .map(|x| {
                let u = x as f32 / WIDTH as f32;
                base + slant * (x as f32 - 400.0) + 150.0 * (fbm1(u * 3.2, seeds[0], 3) - 0.5)
            })
            .collect();
        let power: Vec<f32> = (0..WIDTH)
            .map(|x| {
                let u = x as f32 / WIDTH as f32;
                let patches = smoothstep(0.3, 0.75, fbm1(u * 4.0, seeds[1], 2));
                strength * patches * (0.35 + 0.9 * fbm1(u * 90.0, seeds[2], 2))
            })
            .collect();
        // Sharp below, fading above.
        let curve: Vec<f32> = (0..=256)
            .map(|index| {
                let t = index as f32 / 256.0;
                (1.0 - t).powi(2) * smoothstep(0.0, 0.09, t)
            })
            .collect();
        let colors: Vec<Color> = (0..=256)
            .map(|i| mix(low, high, smoothstep(0.15, 0.8, i as f32 / 256.0)))
            .collect();
        for y in 0..bottom {
            for (x, pixel) in canvas.row(y).iter_mut().enumerate() {
                let t = (foot[x] - y as f32) / tall;
                if (0.0..1.0).contains(&t) {
                    let index = (t * 256.0) as usize;
                    *pixel = add(*pixel, scale(colors[index], curve[index] * power[x]));
                }
            }
        }
    }
}

/// A moon, with seas.
pub(super) fn moon(canvas: &mut Canvas, random: &mut Random) {
    let (x, y) = (random.range(120.0, 680.0), random.range(80.0, 220.0));
    let radius = random.range(26.0, 60.0);
    let (seed, color) = (
        random.seed(),
        hex(random.pick(&[0xf4efe2, 0xffe2b8, 0xe8eefc])),
    );
    canvas.glow(x, y, radius * 2.2, scale(color, 0.3), HEIGHT);
    canvas.shape((x, y), (radius + 2.0, radius + 2.0), |dx, dy| {
        let distance = (dx * dx + dy * dy).sqrt();
        let seas = fbm2(dx / radius * 2.2 + 9.0, dy / radius * 2.2, seed, 4);
        let light = 1.0 - 0.4 * smoothstep(0.45, 0.62, seas) - 0.25 * (distance / radius).powi(4);
        (scale(color, light), radius - distance)
    });
}
