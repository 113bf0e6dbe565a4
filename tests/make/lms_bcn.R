# LMS curves by VGAM (Yee), an implementation of others: Rscript lms_bcn.R IN.csv OUT.csv
# IN has the columns sex, age and y; OUT the score of each line.
suppressMessages(library(VGAM))
arguments <- commandArgs(trailingOnly = TRUE)
people <- read.csv(arguments[1])
people$z <- NA
for (sex in unique(people$sex)) {
  mine <- people$sex == sex
  fit <- vgam(y ~ s(age, df = 4), lms.bcn(zero = 1), data = people[mine, ])
  curves <- predict(fit)
  l <- curves[, 1]; m <- curves[, 2]; s <- exp(curves[, 3])
  people$z[mine] <- ((people$y[mine] / m)^l - 1) / (l * s)
}
write.csv(people["z"], arguments[2], row.names = FALSE)
