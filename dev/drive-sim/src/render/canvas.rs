//! A picture in the making, and what is put on it.

use image::RgbImage;

use super::noise::lattice;

pub(super) const WIDTH: usize = 800;
pub(super) const HEIGHT: usize = 600;

/// Red, green and blue, 0 to 1.
pub(super) type Color = [f32; 3];

pub(super) fn hex(rgb: u32) -> Color {
    [
        (rgb >> 16) as f32 / 255.0,
        (rgb >> 8 & 255) as f32 / 255.0,
        (rgb & 255) as f32 / 255.0,
    ]
}

#[inline(always)]
pub(super) fn mix(a: Color, b: Color, t: f32) -> Color {
    [
        a[0] + (b[0] - a[0]) * t,
        a[1] + (b[1] - a[1]) * t,
        a[2] + (b[2] - a[2]) * t,
    ]
}

#[inline(always)]
pub(super) fn scale(color: Color, factor: f32) -> Color {
    [color[0] * factor, color[1] * factor, color[2] * factor]
}

#[inline(always)]
pub(super) fn add(a: Color, b: Color) -> Color {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

/// From 0 below `low` to 1 above `high`, smoothly.
#[inline(always)]
pub(super) fn smoothstep(low: f32, high: f32, x: f32) -> f32 {
    let t = ((x - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// A colour between evenly spaced stops; `t` runs from 0 to 1.
pub(super) fn gradient(stops: &[u32], t: f32) -> Color {
    let last = stops.len() - 1;
    let place = t.clamp(0.0, 1.0) * last as f32;
    let index = (place as usize).min(last.saturating_sub(1));
    let next = (index + 1).min(last);
    let t = place - index as f32;
    mix(hex(stops[index]), hex(stops[next]), t * t * (3.0 - 2.0 * t))
}

/// A gradient looked up rather than computed.
pub(super) fn palette(stops: &[u32]) -> Vec<Color> {
    (0..512)
        .map(|index| gradient(stops, index as f32 / 511.0))
        .collect()
}

/// Numbers on a coarse grid, interpolated between: most of nature is smooth.
pub(super) struct Field {
    step: usize,
    columns: usize,
    values: Vec<f32>,
}

impl Field {
    /// Computes every `step`th pixel, from row `top` down to before `bottom`.
    pub(super) fn new(step: usize, top: usize, bottom: usize, f: impl Fn(f32, f32) -> f32) -> Self {
        let columns = WIDTH / step + 2;
        let rows = (bottom - top) / step + 2;
        let mut values = Vec::with_capacity(columns * rows);
        for row in 0..rows {
            for column in 0..columns {
                values.push(f((column * step) as f32, (top + row * step) as f32));
            }
        }
        Self {
            step,
            columns,
            values,
        }
    }

    /// One row, `y` rows below the top.
    pub(super) fn row(&self, y: usize, out: &mut [f32; WIDTH]) {
        let (cell, t) = (y / self.step, (y % self.step) as f32 / self.step as f32);
        let upper = &self.values[cell * self.columns..][..self.columns];
        let lower = &self.values[(cell + 1) * self.columns..][..self.columns];
        let at = |column: usize| upper[column] + (lower[column] - upper[column]) * t;
        let mut left = at(0);
        for (column, pixels) in out.chunks_mut(self.step).enumerate() {
            let right = at(column + 1);
            let slope = (right - left) / self.step as f32;
            let mut value = left;
            for pixel in pixels {
                *pixel = value;
                value += slope;
            }
            left = right;
        }
    }
}

/// A picture of [`WIDTH`] × [`HEIGHT`].
pub(super) struct Canvas {
    pixels: Vec<Color>,
}

impl Canvas {
    pub(super) fn new() -> Self {
        Self {
            pixels: vec![[0.0; 3]; WIDTH * HEIGHT],
        }
    }

    pub(super) fn row(&mut self, y: usize) -> &mut [Color] {
        &mut self.pixels[y * WIDTH..(y + 1) * WIDTH]
    }

    pub(super) fn get(&self, x: usize, y: usize) -> Color {
        self.pixels[y * WIDTH + x]
    }

    /// Adds light to one pixel, if it is in the picture.
    pub(super) fn light(&mut self, x: i32, y: i32, color: Color) {
        if (0..WIDTH as i32).contains(&x) && (0..HEIGHT as i32).contains(&y) {
            let pixel = &mut self.pixels[y as usize * WIDTH + x as usize];
            *pixel = add(*pixel, color);
        }
    }

    /// A vertical gradient, from `top` down to before `bottom`.
    pub(super) fn backdrop(&mut self, top: usize, bottom: usize, stops: &[u32]) {
        for y in top..bottom {
            let color = gradient(stops, (y - top) as f32 / (bottom - top) as f32);
            self.row(y).fill(color);
        }
    }

    /// Fills everything below a line. The colour depends on the row alone.
    pub(super) fn fill_below(&mut self, line: &[f32], color: impl Fn(f32) -> Color) {
        let top = line.iter().fold(f32::MAX, |top, y| top.min(*y)).max(0.0) as usize;
        for y in top..HEIGHT {
            let height = y as f32;
            let color = color(height);
            for (pixel, edge) in self.row(y).iter_mut().zip(line) {
                let cover = height - edge + 0.5;
                if cover >= 1.0 {
                    *pixel = color;
                } else if cover > 0.0 {
                    *pixel = mix(*pixel, color, cover);
                }
            }
        }
    }

    /// Light that fades with the distance from a point.
    pub(super) fn glow(&mut self, cx: f32, cy: f32, radius: f32, color: Color, bottom: usize) {
        let falloff = 1.0 / (radius * radius);
        let dx: Vec<f32> = (0..WIDTH)
            .map(|x| (x as f32 - cx) * (x as f32 - cx) * falloff)
            .collect();
        for y in 0..bottom {
            let dy = 1.0 + (y as f32 - cy) * (y as f32 - cy) * falloff;
            for (pixel, dx) in self.row(y).iter_mut().zip(&dx) {
                let light = 1.0 / (dx + dy);
                *pixel = add(*pixel, scale(color, light * light));
            }
        }
    }

    /// Blends a shape: `shade` gives colour and cover for each pixel of a box around a point.
    pub(super) fn shape(
        &mut self,
        (cx, cy): (f32, f32),
        (rx, ry): (f32, f32),
        shade: impl Fn(f32, f32) -> (Color, f32),
    ) {
        let span = |c: f32, r: f32, end: usize| {
            (c - r).clamp(0.0, end as f32) as usize..(c + r + 1.0).clamp(0.0, end as f32) as usize
        };
        let columns = span(cx, rx, WIDTH);
        for y in span(cy, ry, HEIGHT) {
            let dy = y as f32 - cy;
            let columns = columns.clone();
            let start = columns.start;
            for (x, pixel) in self.row(y)[columns].iter_mut().enumerate() {
                let (color, cover) = shade((start + x) as f32 - cx, dy);
                if cover > 0.0 {
                    *pixel = mix(*pixel, color, cover.min(1.0));
                }
            }
        }
    }

    /// A disc with a soft edge.
    pub(super) fn disc(&mut self, cx: f32, cy: f32, radius: f32, soft: f32, color: Color) {
        let reach = radius + soft;
        self.shape((cx, cy), (reach, reach), |dx, dy| {
            (
                color,
                (radius + soft * 0.5 - (dx * dx + dy * dy).sqrt()) / soft,
            )
        });
    }

    /// Darker corners and a trace of grain, which keeps gradients from banding.
    pub(super) fn develop(&self, seed: u32) -> RgbImage {
        let grain: Vec<f32> = (0..1024)
            .map(|index| 3.0 * lattice(index, 7, seed) - 1.5 + 0.5)
            .collect();
        let dx: Vec<f32> = (0..WIDTH)
            .map(|x| (x as f32 / WIDTH as f32 - 0.5).powi(2) * 0.55)
            .collect();
        let mut bytes = vec![0; WIDTH * HEIGHT * 3];
        let rows = self
            .pixels
            .chunks_exact(WIDTH)
            .zip(bytes.chunks_exact_mut(WIDTH * 3));
        for (y, (row, bytes)) in rows.enumerate() {
            let dy = 1.0 - (y as f32 / HEIGHT as f32 - 0.5).powi(2) * 0.55;
            let offset = (lattice(y as i32, 11, seed) * 223.0) as usize;
            let pixels = row.iter().zip(bytes.chunks_exact_mut(3));
            for ((pixel, bytes), (dx, grain)) in pixels.zip(dx.iter().zip(&grain[offset..])) {
                let light = 255.0 * (dy - dx);
                // A float beyond a byte's range becomes its nearest.
                bytes[0] = (pixel[0] * light + grain) as u8;
                bytes[1] = (pixel[1] * light + grain) as u8;
                bytes[2] = (pixel[2] * light + grain) as u8;
            }
        }
        RgbImage::from_raw(WIDTH as u32, HEIGHT as u32, bytes).unwrap_or_default()
    }
}
