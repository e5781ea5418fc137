//! Programs to read, one idea each: see `examples/`. Here is what they share, the digits.

#![forbid(unsafe_code)]

use std::{fmt::Write, path::PathBuf};

use tracelift_tensor::{FileError, Tensor, npz::read_npz};

/// The side of a digit's image in pixels.
pub const SIDE: usize = 8;

/// An image of a digit.
pub struct Digit {
    /// The image, f32[1, 1, 8, 8], from 0 for paper to 1 for ink.
    pub image: Tensor,
    /// What the writer meant.
    pub label: usize,
    /// What PyTorch's run of the network answers, one number per class.
    pub logits: Vec<f32>,
}

/// The path of a file in `examples/data/`.
pub fn data_file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data").join(name)
}

/// The images that ship with the project, one of each digit, none of them trained on.
///
/// # Errors
/// When the file cannot be read.
pub fn digits() -> Result<Vec<Digit>, FileError> {
    let arrays = read_npz(&data_file("digits_samples.npz"))?;
    let array = |name: &str| {
        let found = arrays.iter().find(|(known, _)| known == name);
        &found.expect("make_digits.py writes images, labels and all_logits").1
    };
    let (pixels, logits) = (array("images").to_vec::<f32>(), array("all_logits").to_vec::<f32>());
    let labels = array("labels").to_vec::<i64>();
    let each = pixels.chunks(SIDE * SIDE).zip(labels).zip(logits.chunks(10));
    Ok(each
        .map(|((pixels, label), logits)| Digit {
            image: Tensor::new(&[1, 1, SIDE, SIDE], pixels),
            label: label as usize,
            logits: logits.to_vec(),
        })
        .collect())
}

/// An image as text, two characters a pixel.
pub fn as_text(image: &Tensor) -> String {
    let shades = [' ', '░', '▒', '▓', '█'];
    let mut out = String::new();
    for row in image.to_vec::<f32>().chunks(SIDE) {
        let shade = |ink: &f32| shades[(ink * (shades.len() - 1) as f32).round() as usize];
        let line: String = row.iter().map(shade).flat_map(|c| [c, c]).collect();
        let _ = writeln!(out, "    │{line}│");
    }
    out
}

/// An image as an SVG picture.
pub fn as_svg(image: &Tensor) -> String {
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {SIDE} {SIDE}\" \
         width=\"256\" height=\"256\" shape-rendering=\"crispEdges\">\n"
    );
    for (k, ink) in image.to_vec::<f32>().iter().enumerate() {
        let grey = 255 - (ink * 255.0).round() as u8;
        let (x, y) = (k % SIDE, k / SIDE);
        let _ = writeln!(
            out,
            "  <rect x=\"{x}\" y=\"{y}\" width=\"1\" height=\"1\" fill=\"rgb({grey},{grey},{grey})\"/>"
        );
    }
    out + "</svg>\n"
}

/// The largest difference of two answers, in parts of the largest expected number.
pub fn relative_error(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len(), "answers have one number per class");
    // In the total order NaN is the greatest, so that it is no small error.
    let largest = |numbers: Vec<f32>| numbers.into_iter().max_by(f32::total_cmp).unwrap_or(0.0);
    let error = largest(found.iter().zip(expected).map(|(a, b)| (a - b).abs()).collect());
    error / largest(expected.iter().map(|x| x.abs()).collect())
}

/// The position of the largest number.
pub fn largest(numbers: &[f32]) -> usize {
    (0..numbers.len()).max_by(|&a, &b| numbers[a].total_cmp(&numbers[b])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digits_are_one_of_each_class() {
        let digits = digits().expect("the file ships with the project");
        assert_eq!(digits.iter().map(|d| d.label).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
        for digit in &digits {
            assert!(digit.image.to_vec::<f32>().iter().all(|ink| (0.0..=1.0).contains(ink)));
        }
    }

    #[test]
    fn an_image_is_drawn_pixel_by_pixel() {
        let image =
            Tensor::new(&[1, 1, 8, 8], &std::array::from_fn::<f32, 64, _>(|k| (k % 2) as f32));
        assert_eq!(as_text(&image).lines().next(), Some("    │  ██  ██  ██  ██│"));
        assert_eq!(as_svg(&image).matches("<rect").count(), 64);
    }

    #[test]
    fn an_error_is_measured_against_the_largest_number() {
        assert_eq!(relative_error(&[1.0, -4.5], &[1.0, -4.0]), 0.125);
        assert!(relative_error(&[1.0, f32::NAN, 2.0], &[1.0, 1.0, 2.0]).is_nan());
        assert_eq!(largest(&[0.5, 2.0, -3.0]), 1);
    }
}
