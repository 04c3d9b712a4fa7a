//! Photographs that were never taken.

mod canvas;
mod land;
mod noise;
mod scene;
mod sky;
mod studies;

use image::RgbImage;

use canvas::{Canvas, HEIGHT, WIDTH, hex, mix, scale};
use noise::{Random, fbm1};
use sky::Mood;

pub(crate) use scene::{Scene, name};

/// Renders photograph `n`; the same picture each time.
pub(crate) fn photo(n: u32) -> RgbImage {
    let mut random = Random::new(u64::from(n) ^ 0x00ca_11ed);
    let mut canvas = Canvas::new();
    match Scene::ALL[n as usize % Scene::ALL.len()] {
        Scene::Aurora => aurora(&mut canvas, &mut random),
        Scene::Alps => alps(&mut canvas, &mut random),
        Scene::Sea => sea(&mut canvas, &mut random),
        Scene::Desert => desert(&mut canvas, &mut random),
        Scene::Night => night(&mut canvas, &mut random),
        Scene::Lake => lake(&mut canvas, &mut random),
        Scene::Woods => woods(&mut canvas, &mut random),
        Scene::Garden => studies::flower(&mut canvas, &mut random),
        Scene::City => city(&mut canvas, &mut random),
        Scene::Balloons => balloons(&mut canvas, &mut random),
        Scene::Marble => studies::marble(&mut canvas, &mut random),
        Scene::Fractal => studies::julia(&mut canvas, &mut random),
    }
    canvas.develop(n)
}

fn aurora(canvas: &mut Canvas, random: &mut Random) {
    let horizon = random.range(370.0, 450.0) as usize;
    canvas.backdrop(0, HEIGHT, random.pick(sky::NIGHTS));
    sky::stars(canvas, random, 1_500, horizon, |_, _| 0.8);
    sky::aurora(canvas, random, horizon);
    let haze = canvas.get(WIDTH / 2, horizon - 2);
    let far = (mix(haze, hex(0x0a1420), 0.55), hex(0x03060a));
    if random.chance(0.6) {
        let shore = horizon as f32;
        land::ranges(canvas, random, far, (shore - 30.0, shore - 4.0), 2);
        land::water(canvas, random, horizon, hex(0x04101a), 0.75, None);
    } else {
        let foot = HEIGHT as f32;
        land::ranges(canvas, random, far, (horizon as f32, foot - 40.0), 3);
    }
}

fn alps(canvas: &mut Canvas, random: &mut Random) {
    let mood: &Mood = random.pick(sky::DAYLIGHT);
    let sun = (random.range(140.0, 660.0), random.range(120.0, 240.0));
    let cover = random.range(0.0, 0.6);
    sky::sky(canvas, random, mood, 420, sun, cover);
    canvas.backdrop(420, HEIGHT, &[mood.sky[4], mood.sky[3]]);
    let haze = mix(hex(mood.sky[3]), hex(mood.sky[4]), 0.4);
    let dark = mix(hex(mood.sky[0]), hex(0x070a12), random.range(0.35, 0.8));
    let layers = random.range(4.0, 7.9) as usize;
    land::ranges(canvas, random, (haze, dark), (250.0, 570.0), layers);
    if random.chance(0.4) {
        let seed = random.seed();
        let ground = land::line(|x| 560.0 - 70.0 * (fbm1(x / 300.0, seed, 3) - 0.4));
        let tops = land::trees(random, &ground, (36.0, 84.0), 13.0);
        let color = scale(dark, 0.55);
        canvas.fill_below(&tops, |_| color);
    }
}

fn sea(canvas: &mut Canvas, random: &mut Random) {
    let mood: &Mood = random.pick(sky::DAYLIGHT);
    let horizon = random.range(290.0, 400.0) as usize;
    let sun = (
        random.range(150.0, 650.0),
        horizon as f32 - random.range(10.0, 110.0),
    );
    let cover = random.range(0.15, 0.95);
    sky::sky(canvas, random, mood, horizon, sun, cover);
    if random.chance(0.45) {
        let shore = horizon as f32;
        let colors = (
            mix(hex(mood.sky[3]), hex(mood.sky[0]), 0.35),
            hex(mood.sky[0]),
        );
        land::ranges(canvas, random, colors, (shore - 12.0, shore + 6.0), 2);
    }
    let tint = mix(hex(mood.sky[0]), hex(mood.sky[1]), 0.4);
    let calm = random.range(0.1, 0.7);
    let light = scale(hex(mood.sun), 0.75);
    land::water(canvas, random, horizon, tint, calm, Some((sun.0, light)));
}

fn desert(canvas: &mut Canvas, random: &mut Random) {
    const SANDS: &[(u32, u32)] = &[
        (0xf2b866, 0x6b3a2e),
        (0xe89a55, 0x4a2433),
        (0xf6d7a0, 0x8a6548),
        (0xd9774a, 0x3d1c30),
        (0xf3c9a5, 0x6d4f63),
    ];
    let mood: &Mood = random.pick(sky::DAYLIGHT);
    let horizon = random.range(190.0, 270.0);
    let sun = (
        random.range(80.0, 720.0),
        random.range(60.0, horizon - 30.0),
    );
    let cover = random.range(0.0, 0.35);
    sky::sky(canvas, random, mood, horizon as usize + 60, sun, cover);
    let (lit, shaded) = random.pick(SANDS);
    let colors = (hex(lit), hex(shaded), mix(hex(mood.sky[4]), hex(lit), 0.3));
    land::dunes(canvas, random, colors, horizon);
}

fn night(canvas: &mut Canvas, random: &mut Random) {
    canvas.backdrop(0, HEIGHT, random.pick(sky::NIGHTS));
    if random.chance(0.75) {
        sky::milky_way(canvas, random, 560);
    } else {
        sky::stars(canvas, random, 1_800, 540, |_, _| 0.7);
        sky::moon(canvas, random);
    }
    let haze = scale(canvas.get(WIDTH / 2, 500), 0.6);
    if random.chance(0.5) {
        let colors = (mix(haze, hex(0x05070d), 0.4), hex(0x020306));
        land::ranges(canvas, random, colors, (450.0, 590.0), 3);
    } else {
        let (seed, tall) = (random.seed(), random.range(60.0, 130.0));
        let ground = land::line(|x| 565.0 - 90.0 * (fbm1(x / 380.0, seed, 3) - 0.4));
        let tops = land::trees(random, &ground, (tall * 0.5, tall), tall * 0.16);
        canvas.fill_below(&tops, |_| hex(0x020305));
    }
}

fn lake(canvas: &mut Canvas, random: &mut Random) {
    let mood: &Mood = random.pick(sky::DAYLIGHT);
    let shore = random.range(300.0, 350.0);
    let sun = (random.range(100.0, 700.0), random.range(90.0, shore - 90.0));
    let cover = random.range(0.1, 0.8);
    sky::sky(canvas, random, mood, shore as usize, sun, cover);
    let dark = mix(hex(mood.sky[0]), hex(0x0a1a14), 0.55);
    let haze = mix(hex(mood.sky[3]), hex(mood.sky[1]), 0.35);
    land::ranges(
        canvas,
        random,
        (haze, dark),
        (shore - 80.0, shore - 15.0),
        3,
    );
    let seed = random.seed();
    let ground = land::line(|x| shore - 6.0 - 26.0 * fbm1(x / 240.0, seed, 3));
    let tall = random.range(34.0, 78.0);
    let tops = land::trees(random, &ground, (tall * 0.5, tall), 6.0);
    let color = mix(dark, hex(0x050b08), 0.5);
    canvas.fill_below(&tops, |_| color);
    let tint = mix(hex(mood.sky[0]), dark, 0.4);
    let calm = random.range(0.72, 0.97);
    land::water(canvas, random, shore as usize, tint, calm, None);
}

fn woods(canvas: &mut Canvas, random: &mut Random) {
    const FOGS: &[(&[u32], u32)] = &[
        (&[0xa9bcc2, 0xc6d3d3, 0xe1e7e1], 0x10211f),
        (&[0x8f9fb5, 0xbcb9c4, 0xe8d3c8], 0x1a1c2c),
        (&[0xc9a86a, 0xe6c78c, 0xf7e6bf], 0x2b1c10),
        (&[0x5c7f86, 0x8fb0a8, 0xcfe0c8], 0x06231f),
        (&[0x7a6d8c, 0xb08fa3, 0xf0c3b0], 0x1f1430),
        (&[0x3d4f66, 0x64798c, 0x9fb2b8], 0x0a1119),
    ];
    let (stops, dark) = random.pick(FOGS);
    canvas.backdrop(0, HEIGHT, stops);
    let light = scale(hex(stops[2]), 0.3);
    canvas.glow(
        random.range(100.0, 700.0),
        random.range(60.0, 180.0),
        170.0,
        light,
        HEIGHT,
    );
    let horizon = random.range(150.0, 250.0);
    land::woods(canvas, random, (hex(stops[2]), hex(dark)), horizon);
}

fn city(canvas: &mut Canvas, random: &mut Random) {
    const LAMPS: &[u32] = &[0xffb347, 0xff6f59, 0xffe0a3, 0x6fc3df, 0xb388eb, 0xf7aef8];
    let mood: &Mood = random.pick(&[&sky::DUSK, &sky::SUNSET, &sky::EMBER, &sky::ROSE]);
    if random.chance(0.22) {
        canvas.backdrop(0, HEIGHT, &[0x080a18, 0x151a38, 0x2c2140]);
        studies::bokeh(canvas, random, LAMPS, 240);
        return;
    }
    let shore = random.range(390.0, 450.0) as usize;
    canvas.backdrop(0, shore, mood.sky);
    sky::stars(canvas, random, 260, shore / 2, |_, _| 0.6);
    land::skyline(canvas, random, shore, hex(mood.sky[2]));
    // The embankment, lit from above, parts the houses from their reflections.
    for y in shore - 3..shore {
        canvas
            .row(y)
            .fill(mix(hex(mood.sky[3]), hex(0x0a0d18), 0.45));
    }
    let calm = random.range(0.35, 0.75);
    land::water(canvas, random, shore, hex(0x0a1024), calm, None);
}

fn balloons(canvas: &mut Canvas, random: &mut Random) {
    let mood: &Mood = random.pick(sky::GOLDEN);
    let sun = (random.range(120.0, 680.0), random.range(250.0, 360.0));
    let cover = random.range(0.0, 0.5);
    sky::sky(canvas, random, mood, 480, sun, cover);
    canvas.backdrop(480, HEIGHT, &[mood.sky[4], mood.sky[3]]);
    let haze = mix(hex(mood.sky[3]), hex(mood.sky[4]), 0.5);
    let dark = mix(hex(mood.sky[0]), hex(0x2a1a16), 0.5);
    let small = random.range(5.0, 14.0) as usize;
    for _ in 0..small {
        let (x, y) = (random.range(20.0, 780.0), random.range(120.0, 400.0));
        let radius = random.range(6.0, 15.0);
        land::balloon(canvas, random, x, y, radius);
    }
    land::ranges(canvas, random, (haze, dark), (400.0, 590.0), 4);
    let large = random.range(1.0, 4.9) as usize;
    for number in 0..large {
        let slot = WIDTH as f32 / large as f32;
        let x = slot * (number as f32 + random.range(0.25, 0.75));
        let (y, radius) = (random.range(110.0, 340.0), random.range(26.0, 84.0));
        land::balloon(canvas, random, x, y, radius);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_photograph_is_the_same_each_time_and_like_no_other() {
        let photos: Vec<_> = (0..24).map(photo).collect();
        assert_eq!(photos[5], photo(5));
        for (n, photo) in photos.iter().enumerate() {
            assert_eq!((photo.width(), photo.height()), (800, 600));
            assert!(
                !photos[..n].contains(photo),
                "photograph {n} was seen before"
            );
            let (low, high) = photo.iter().fold((255, 0), |(low, high), byte| {
                (low.min(*byte), high.max(*byte))
            });
            assert!(high - low > 60, "photograph {n} is flat");
        }
    }
}
